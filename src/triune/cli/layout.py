"""How wide the columns of a table are, and which are left out when the window is narrow. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

GAP = 2
"""Blanks between two columns."""

_SHORT = 20
"""A column of this width or less is shown whole or not at all."""


def fit(
    natural: Sequence[int],
    headers: Sequence[int],
    available: int,
    *,
    keep: int = 1,
    first_out: Sequence[int] = (),
) -> dict[int, int]:
    """The columns that are shown, by their place, each with its width.

    Long cells are cut before a column is left out: those in ``first_out`` go first, then the
    others from the right. The first ``keep`` are neither cut nor left out, even where they alone
    are wider than what is ``available``; a terminal then wraps the line.
    """
    shown = list(range(len(natural)))
    rest = [place for place in reversed(range(keep, len(natural))) if place not in first_out]
    going = [*first_out, *rest]
    least = {
        place: natural[place] if place < keep else min(natural[place], max(headers[place], _SHORT))
        for place in shown
    }
    while going and _total(least[place] for place in shown) > available:
        shown.remove(going.pop(0))
    widths = {place: max(least[place], min(natural[place], available)) for place in shown}
    while _total(widths.values()) > available:
        widest = max(shown, key=lambda place: widths[place] - least[place])
        if widths[widest] == least[widest]:
            break
        widths[widest] -= 1
    return widths


def _total(widths: Iterable[int]) -> int:
    known = list(widths)
    return sum(known) + GAP * (len(known) - 1)
