"""flagd's ``fractional``: a share of the units for each variant, by bucket."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mmh3

from triune.core.assignment import cbor_text
from triune.core.errors import Refused

LARGEST_TOTAL = 2_147_483_647
_LOWEST, _HIGHEST = -(2**63), 2**64 - 1
Ends = tuple[tuple[int, Any], ...]


def ends_of(parts: Sequence[Any]) -> Ends | None:
    """Where each variant's range of weights ends, of ``[variant, weight]`` each; None where
    flagd gives nothing: a part that is none, or a total of 0 or beyond 32 bits."""
    end, ends = 0, []
    for part in parts:
        if not isinstance(part, list | tuple) or not 1 <= len(part) <= 2:
            return None
        weight = part[1] if len(part) == 2 else 1
        if isinstance(weight, bool) or not isinstance(weight, int):
            return None
        end += max(0, weight)
        ends.append((end, part[0]))
    return tuple(ends) if 0 < end <= LARGEST_TOTAL else None


def chosen(ends: Ends, identity: bytes) -> Any:
    """The variant of an identity (its CBOR)."""
    place = (int(mmh3.hash(identity, 0, False)) * ends[-1][0]) >> 32
    for end, variant in ends:
        if place < end:
            return variant
    raise AssertionError("the last range ends behind every place")


def identity(value: object) -> bytes | None:
    """A value's canonical CBOR; None for what has none."""
    if type(value) is str:
        try:
            return cbor_text(value)
        except Refused:
            return None
    import cbor2

    try:
        encoded: bytes = cbor2.dumps(_whole(value), canonical=True)
    except Exception:  # whatever the encoder says to what anybody may put in a context
        return None
    return encoded


def _whole(value: Any) -> Any:
    """Whole numbers as integers, as flagd has them."""
    if isinstance(value, dict):
        return {key: _whole(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_whole(one) for one in value]
    if isinstance(value, float) and value.is_integer() and _LOWEST <= value <= _HIGHEST:
        return int(value)
    return value
