"""The keys that rows are stored under: one for each entity, whatever views it has. Pure.

    <project> 0 <join keys, sorted, joined by commas> 0 <each value: tag, length, bytes>

Whole numbers are written in decimal, so that a key of 32 bits and one of 64 are the same entity.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence


class UnusableKey(TypeError):
    """A value that no entity can be looked up by."""


def prefix(project: str, join_keys: Sequence[str]) -> bytes:
    """What all entities of these join keys begin with; the keys must be sorted."""
    return b"\0".join((project.encode(), ",".join(join_keys).encode(), b""))


def encoded(value: object) -> bytes:
    """One join key's value.

    Raises
    ------
    UnusableKey: neither a text, bytes nor a whole number.
    """
    if isinstance(value, str):
        raw = value.encode()
        return b"s" + struct.pack("<I", len(raw)) + raw
    if isinstance(value, bytes):
        return b"b" + struct.pack("<I", len(value)) + value
    try:
        raw = b"%d" % value.__index__()  # type: ignore[attr-defined]
    except AttributeError:
        raise UnusableKey(
            f"{value!r} ({type(value).__name__}) is neither a text, bytes nor a whole number"
        ) from None
    return b"i" + struct.pack("<I", len(raw)) + raw


def key(begin: bytes, values: Sequence[object]) -> bytes:
    """The key of one entity; ``values`` in the order of the sorted join keys."""
    return begin + b"".join(map(encoded, values))
