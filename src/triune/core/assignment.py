"""Assignment: which of 10,000 buckets a unit is in. The same in the gateway, in flags and in tests.

    bucket(salt, unit) = (murmur3_x86_32(cbor([salt, unit])) * 10000) >> 32

MurmurHash3 (x86, 32 bits, unsigned, seed 0) over the canonical CBOR array of the two text
strings (RFC 8949, 4.2.1). It is what flagd's ``fractional`` does for its shorthand with a total
weight of 10,000, with salt = flag key and unit = targeting key. The gateway computes it in Lua:
``triune/delivery/gateway/backends/bucket.lua``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import mmh3

from triune.core.errors import Refused

if TYPE_CHECKING:
    import numpy as np

TOTAL = 10_000
"""How many buckets there are; weights are numbers of buckets."""

PAIR = b"\x82"
_TEXT = 0x60
_SHORT = tuple(bytes([_TEXT + length]) for length in range(24))


def bucket(salt: str, unit: str) -> int:
    """The bucket of a unit, 0 to 9999. Equal arguments always have the same one.

    Parameters
    ----------
    salt: what is assigned, e.g. an endpoint's name; different salts give independent buckets
    unit: whom or what it is assigned to; any text, the empty one too

    Raises
    ------
    Refused: (``unit-not-text``) there is a lone surrogate, which no UTF-8 can hold.

    >>> bucket("flights/delay", "N14228")
    5573
    """
    data = PAIR + cbor_text(salt) + cbor_text(unit)
    return (int(mmh3.hash(data, signed=False)) * TOTAL) >> 32


def salted(salt: str, unit: str) -> int:
    """The bucket of a unit under a salt that a flag's rule can name: that of the one text
    ``<salt>:<unit>``. flagd's ``fractional`` by ``{"cat": ["<salt>:", {"var": "targetingKey"}]}``
    gives the same; its pair of salt and unit only ever has the flag's own key for a salt.

    Raises
    ------
    Refused: (``unit-not-text``).

    >>> salted("checkout", "N14228")
    5374
    """
    return (int(mmh3.hash(cbor_text(f"{salt}:{unit}"), signed=False)) * TOTAL) >> 32


def buckets(salt: str, units: Sequence[str]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """`bucket` of each unit, as an array of the same length; about twice as fast as a loop."""
    import numpy as np

    prefix, text, digest = PAIR + cbor_text(salt), cbor_text, mmh3.hash
    hashes = np.fromiter(
        (digest(prefix + text(unit), 0, False) for unit in units), np.uint64, count=len(units)
    )
    return ((hashes * np.uint64(TOTAL)) >> np.uint64(32)).astype(np.int64)


def cbor_text(text: str) -> bytes:
    """A CBOR text string, its length in the shortest form."""
    try:
        data = text.encode()
    except UnicodeEncodeError as error:
        raise Refused(
            "unit-not-text",
            f"character {error.start} is half of a surrogate pair, so this is not Unicode text",
            context=repr(text[:80]),
            hint="Decode the identity with the encoding it was written in.",
        ) from error
    length = len(data)
    if length < len(_SHORT):
        return _SHORT[length] + data
    width = next(exponent for exponent in range(4) if length < 1 << (8 << exponent))
    return bytes([_TEXT + 24 + width]) + length.to_bytes(1 << width) + data
