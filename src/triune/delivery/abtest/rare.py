"""Two arms' shares of something that hardly ever happened yet: strictly, and at any time.

With fewer than 20 events in an arm no normal approximation holds. Each arm's share has its own
confidence sequence (`triune.stats.bernoulli`) at half of alpha; the difference lies between their
ends. Wide, but right from the first unit, and narrow enough to clear an absolute margin when
nothing happens at all. The p-value, of equal shares, is sharper than the interval.
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
    """The shares of two cells."""
    planned = judge.planned / 2.0
    counts = [(_happened(cell), cell.n) for cell in (control, candidate)]
    a, b = (_share(pair, judge.alpha / 2.0, planned) for pair in counts)
    return between(a, b, bernoulli.equal(counts[0], counts[1], planned))


def _happened(cell: Cell) -> int:
    return round(float(cell.summary().mean[0]) * cell.n)


def _share(counts: tuple[int, int], alpha: float, planned: float) -> Share:
    low, high = bernoulli.interval(*counts, alpha, planned)
    return Share(low, counts[0] / counts[1], high)
