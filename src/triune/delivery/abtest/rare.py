"""Two arms' shares of something that hardly ever happened yet: strictly, and at any time.

With fewer than 20 events in an arm no normal approximation holds. Each arm's share has its own
confidence sequence (`triune.stats.bernoulli`) at half of alpha; the difference lies between their
ends. Wide, but right from the first unit, and narrow enough to clear an absolute margin when
nothing happens at all.
"""

from __future__ import annotations

from dataclasses import dataclass

from triune.delivery.abtest.cell import Cell
from triune.delivery.abtest.effects import Found, between
from triune.delivery.abtest.judging import Judge
from triune.stats import bernoulli


@dataclass(frozen=True, slots=True)
class Share:
    """A share with its interval."""

    low: float
    estimate: float
    high: float


def compare(judge: Judge, control: Cell, candidate: Cell) -> Found:
    """The shares of two cells. The p-value is no better known than ``alpha``, or 1."""
    a, b = (_share(judge, cell) for cell in (control, candidate))
    apart = b.low > a.high or a.low > b.high
    found = between(a, b, judge.alpha)
    return found if apart else between(a, b, 1.0)


def _share(judge: Judge, cell: Cell) -> Share:
    happened = round(float(cell.summary().mean[0]) * cell.n)
    low, high = bernoulli.interval(happened, cell.n, judge.alpha / 2.0, judge.planned / 2.0)
    return Share(low, happened / cell.n, high)
