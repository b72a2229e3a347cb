"""Two arms' quantiles at any time, strictly: from their histograms.

Each arm's quantile has a confidence sequence (`triune.stats.quantile_interval`) at half of alpha;
the difference lies between their ends. The p-value is that of equal quantiles
(`triune.stats.quantile_ab`), which is sharper than the interval.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from triune.delivery.abtest.cell import Cell
from triune.delivery.abtest.effects import Found, between
from triune.delivery.abtest.judging import Judge
from triune.delivery.abtest.model import Metric
from triune.stats import quantile_ab
from triune.stats.log_bins import LogBins
from triune.stats.quantile_interval import of_histogram


def compare(metric: Metric, judge: Judge, control: Cell, candidate: Cell) -> Found:
    """The quantiles of two cells."""
    bins = control.bins or LogBins(), candidate.bins or LogBins()
    both = LogBins(bins[0].counts)
    both.merge(bins[1])
    edges, _ = both.table()
    q, planned = metric.quantile or 0.5, judge.planned / 2.0
    counts = [_on(edges, arm) for arm in bins]
    a, b = (of_histogram(edges, arm, q, judge.alpha / 2.0, planned) for arm in counts)
    return between(a, b, quantile_ab.p_value_of_counts(counts[0], counts[1], q, planned))


def _on(edges: NDArray[np.float64], arm: LogBins) -> NDArray[np.int64]:
    """The arm's counts on the edges of both."""
    own, counts = arm.table()
    found = np.zeros(len(edges), dtype="int64")
    found[np.searchsorted(edges, own)] = counts
    return found
