"""Did the arms get the share of units they were meant to? (Sample ratio mismatch.)

Definition
    With expected shares ``theta`` and counts ``n_i`` so far, the sequential test compares the
    multinomial likelihood at theta with its mean over a Dirichlet prior of parameters
    ``k theta``::

        ln BF = ln B(k theta + n) - ln B(k theta) - sum n_i ln theta_i
        p = min over all looks of 1 / BF, at most 1

    with B the multivariate beta function. The classic test is Pearson's chi-square.

Parameters
    ``counts`` units of each arm so far, ``shares`` the expected shares (scaled to sum to 1),
    ``concentration`` k: the larger, the smaller the mismatches looked for. 10000 is usual.

Assumptions
    Units are assigned independently. Count units, not requests.

Guarantee
    Sequential: while the shares are right, the chance that p ever falls to ``alpha`` is at most
    ``alpha``. Chi-square: the same for one look at a time fixed beforehand, in large samples;
    show it, but do not act on it look by look.

Source
    Lindon and Malek (2022), "Anytime-valid inference for multinomial count data". Agrees with
    ssrm-test 0.1.5 and with gbstats.

>>> round(step(SampleRatio(), [1000, 1200], [0.5, 0.5]).p, 4)
0.2144
>>> round(chi_square([1000, 1200], [0.5, 0.5]), 8)
2.008e-05
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln
from scipy.stats import chi2

CONCENTRATION = 10000.0


@dataclass(frozen=True, slots=True)
class SampleRatio:
    """The sequential test after the looks so far."""

    log_bayes_factor: float = 0.0
    log_largest: float = 0.0

    @property
    def p(self) -> float:
        """The anytime-valid p-value: one over the largest Bayes factor so far."""
        return math.exp(-self.log_largest)

    @property
    def bayes_factor(self) -> float:
        """The present evidence for a mismatch; infinite when it is too large for a float."""
        return math.exp(min(self.log_bayes_factor, 709.0))


def step(
    state: SampleRatio,
    counts: Sequence[int],
    shares: Sequence[float],
    concentration: float = CONCENTRATION,
) -> SampleRatio:
    """The state after one more look. ``counts`` are all units so far, not those since the last."""
    log_bf = log_bayes_factor(counts, shares, concentration)
    return SampleRatio(log_bf, max(state.log_largest, log_bf))


def log_bayes_factor(
    counts: Sequence[int], shares: Sequence[float], concentration: float = CONCENTRATION
) -> float:
    """ln of the evidence for shares other than the expected ones.

    inf when an arm that expects nothing has units. Raises ValueError when lengths differ, or for
    numbers below 0.
    """
    count, share = _aligned(counts, shares)
    if count[share == 0.0].any():
        return math.inf
    count, share = count[share > 0.0], share[share > 0.0]
    prior = concentration * share
    return _log_beta(prior + count) - _log_beta(prior) - float((count * np.log(share)).sum())


def chi_square(counts: Sequence[int], shares: Sequence[float]) -> float:
    """Pearson's p-value; 1.0 without units, 0.0 when an arm that expects nothing has units.

    As in gbstats an arm that expects nothing still counts for a degree of freedom, which errs on
    the quiet side; leave such arms out for the exact test.

    >>> round(chi_square([135, 115, 0, 150], [0.3, 0.3, 0, 0.4]), 4)
    0.4388
    """
    count, share = _aligned(counts, shares)
    if count[share == 0.0].any():
        return 0.0
    expected = share * count.sum()
    used = expected > 0.0
    distance = float((((count - expected)[used]) ** 2 / expected[used]).sum())
    return float(chi2.sf(distance, len(count) - 1))


def _aligned(
    counts: Sequence[int], shares: Sequence[float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    count, share = np.asarray(counts, "float64"), np.asarray(shares, "float64")
    if count.shape != share.shape or len(count) < 2:
        raise ValueError(f"{len(count)} counts do not match {len(share)} shares of 2 or more arms")
    if count.min() < 0.0 or share.min() < 0.0 or share.sum() <= 0.0:
        raise ValueError("counts and shares must be at least 0, and one share above 0")
    return count, share / share.sum()


def _log_beta(a: ArrayLike) -> float:
    return float(gammaln(a).sum() - gammaln(np.sum(a)))
