"""Histograms in one line of block characters. Pure."""

from __future__ import annotations

from collections.abc import Sequence

_BLOCKS = "▁▂▃▄▅▆▇█"
EMPTY = "·"


def bars(shares: Sequence[float], top: float) -> str:
    """One block for each share, ``top`` and more the highest; what is empty is a dot.

    >>> bars([0.0, 0.01, 0.25, 0.5], 0.5)
    '·▁▅█'
    """
    return "".join(_block(share / top if top > 0.0 else 0.0) for share in shares)


def both(before: Sequence[float], after: Sequence[float]) -> str:
    """Two histograms below each other on one scale."""
    old, new = shares(before), shares(after)
    top = max([*old, *new], default=0.0)
    return f"{bars(old, top)}\n{bars(new, top)}"


def shares(counts: Sequence[float]) -> list[float]:
    """Each count as a share of all; zeros when there is nothing."""
    total = sum(counts)
    return [count / total if total else 0.0 for count in counts]


def _block(height: float) -> str:
    if height <= 0.0:
        return EMPTY
    return _BLOCKS[min(int(height * len(_BLOCKS)), len(_BLOCKS) - 1)]
