"""Is the candidate proven not to be worse than a margin? The promote side, looked at any time.

Definition
    The null hypothesis is harm: an odds ratio of at least ``1 + margin`` in every tick. Given
    the margins of a tick, ``b`` has Fisher's noncentral hypergeometric distribution,
    ``f_psi(b) = C(n_b, b) C(n_a, k-b) psi^b / F(psi)``. For alternatives ``psi < 1 + margin``::

        LR(psi) = f_psi(b) / f_{1+margin}(b)
        E = sum over psi of g_psi * product over ticks and strata of LR(psi)^eta

    No harm is proven at level alpha when E reaches ``1/alpha``.

Guarantee
    If the odds ratio is at least ``1 + margin`` in every tick and stratum (it may vary), the
    chance that E ever reaches ``1/alpha`` is at most ``alpha``. At exactly ``1 + margin`` the
    mean of LR is 1. The family has a monotone likelihood ratio in ``b``, so a larger odds ratio
    makes ``b`` stochastically larger, and LR falls in ``b``: its mean is then at most 1. The
    supremum over the composite null is thus at its boundary, E is a supermartingale, and Ville's
    inequality applies.

    The binomial form of :mod:`triune.stats.tick_ratio` is not safe in this direction: at odds
    ratios above 1 the true mean of ``b`` is below the binomial's, so few events would count as
    more evidence than they are. F is therefore summed exactly over the support of ``b``.

Assumptions
    Independent events, as in :mod:`triune.stats.harm`; ``phi`` tempers in the same way, after which
    the guarantee is approximate. "No harm over the whole of the test" is what is shown: a
    candidate that turned bad at the end may still be carried by a good beginning, which is why
    the harm side keeps watching.

Source
    Fisher (1935); Lehmann and Romano, Testing Statistical Hypotheses, 3.4 (monotone ratios).

>>> test, state = NoHarmTest(margin=0.5), NoHarmState()
>>> for _ in range(120):
...     state = step(test, state, [(900, 100, 9, 1)])
>>> state.p < 0.01
True
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from triune.stats.dispersion import eta
from triune.stats.logsum import log_sum
from triune.stats.tick_ratio import Counts, envelope

FRACTIONS = (0.5, 1.0, 2.0)
"""The alternatives are ``(1 + margin)^(1 - f)``: half-way, no difference, as much better."""

WEIGHTS = (0.25, 0.5, 0.25)


@dataclass(frozen=True, slots=True)
class NoHarmTest:
    """What is fixed before the test begins.

    ``margin``: the odds ratio that would be harm is ``1 + margin``, above 1. ``phi``:
    overdispersion, at least 1.
    """

    margin: float = 0.5
    phi: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 < self.margin < math.inf:
            raise ValueError(f"margin must be above 0, not {self.margin}")
        if not 1.0 <= self.phi < math.inf:
            raise ValueError(f"phi must be at least 1, not {self.phi}")


@dataclass(frozen=True, slots=True)
class NoHarmState:
    """Where a test stands; ``log_r`` holds ln of each alternative's product of ratios."""

    ticks: int = 0
    log_r: tuple[float, ...] = ()
    log_e: float = 0.0
    log_e_max: float = 0.0

    @property
    def p(self) -> float:
        """The anytime-valid p-value of harm: one over the largest E so far."""
        return math.exp(-self.log_e_max)


def step(
    test: NoHarmTest, state: NoHarmState, counts: Sequence[Counts] | np.ndarray
) -> NoHarmState:
    """The state after one more tick.

    Parameters
    ----------
    counts: one row ``(n_a, n_b, a, b)`` for each stratum; any number of rows

    Raises ValueError when there are more events than requests, or fewer than none.
    """
    rows = counts.tolist() if isinstance(counts, np.ndarray) else counts
    power = eta(test.phi)
    log_r = state.log_r or (0.0,) * len(FRACTIONS)
    informative = False
    for n_a, n_b, a, b in rows:
        if not (0 <= a <= n_a and 0 <= b <= n_b):
            raise ValueError(f"impossible counts: {a} of {n_a} and {b} of {n_b}")
        if envelope(n_a, n_b, a + b)[1] == 0:
            continue
        informative = True
        ratios = log_ratios(test.margin, n_a, n_b, a + b, b)
        log_r = tuple(old + power * ratio for old, ratio in zip(log_r, ratios, strict=True))
    log_e = state.log_e
    if informative:
        parts = zip(WEIGHTS, log_r, strict=True)
        log_e = log_sum([math.log(weight) + log for weight, log in parts])
    return NoHarmState(state.ticks + 1, log_r, log_e, max(state.log_e_max, log_e))


def log_ratios(margin: float, n_a: int, n_b: int, k: int, b: int) -> tuple[float, ...]:
    """ln LR of one tick and stratum for each alternative; exact up to rounding.

    >>> [round(ratio, 4) for ratio in log_ratios(0.5, 900, 100, 10, 0)]
    [0.2649, 0.487, 0.8265]
    """
    sums = _few(margin, n_a, n_b, k, b) or _many(margin, n_a, n_b, k, b)
    return tuple(sums[0] - value for value in sums[1:])


def _few(margin: float, n_a: int, n_b: int, k: int, b: int) -> list[float] | None:
    """ln(sum of C C psi^(x-b)), up to what all psi share, for the null's psi and the others.

    By Horner's rule over the ratios of neighbouring terms; None when there are many terms or
    their sum overflows.
    """
    low, trials, _ = envelope(n_a, n_b, k)
    if trials > 32:
        return None
    spare = n_a - k + 1
    ratios = [
        (n_b - x) * (k - x) / ((x + 1) * (spare + x)) for x in range(low + trials - 1, low - 1, -1)
    ]
    sums = []
    for log_odds, odds in _odds(margin):
        total = 1.0
        for ratio in ratios:
            total = 1.0 + ratio * odds * total
        if total == math.inf:
            return None
        sums.append(math.log(total) - (b - low) * log_odds)
    return sums


def _many(margin: float, n_a: int, n_b: int, k: int, b: int) -> list[float]:
    """The same by logarithms over the support, or over all of it that matters."""
    low, high = _support(margin, n_a, n_b, k)
    weights = _log_choose(n_b, low, high) + _log_choose(n_a, k - high, k - low)[::-1]
    log_odds = np.array([[log] for log, _ in _odds(margin)])
    terms = log_odds * np.arange(low - b, high - b + 1) + weights
    top: NDArray[np.float64] = terms.max(axis=1)
    values: list[float] = (top + np.log(np.exp(terms - top[:, None]).sum(axis=1))).tolist()
    return values


@lru_cache(maxsize=256)
def _odds(margin: float) -> tuple[tuple[float, float], ...]:
    """ln psi and psi: the null's odds ratio first, then each alternative's."""
    logs = [math.log1p(margin) * power for power in (1.0, *(1.0 - f for f in FRACTIONS))]
    return tuple((log, math.exp(log)) for log in logs)


def _support(margin: float, n_a: int, n_b: int, k: int) -> tuple[int, int]:
    """Where to sum: all values of b, or, when they are many, all but a share below e^-70.

    At every odds ratio psi used, the mean of ``b`` lies between those of the covering binomials
    of the smallest and the largest psi, and its variance below ``spread``; Bernstein's inequality
    at 12 standard deviations and 48 more leaves less than e^-70 outside.
    """
    low, trials, share = envelope(n_a, n_b, k)
    if trials <= 512:
        return low, low + trials
    most, least = 1.0 + margin, (1.0 + margin) ** (1.0 - max(FRACTIONS))
    upper = share * most / (1.0 - share + share * most)
    lower = share * least / (1.0 - share + share * least)
    spread = trials * min(upper, 1.0 - lower)
    reach = 12.0 * math.sqrt(spread) + 48.0
    begin = max(0, math.floor(trials * lower - reach))
    end = min(trials, math.ceil(trials * upper + reach))
    return low + begin, low + end


def _log_choose(n: int, low: int, high: int) -> Any:
    """ln C(n, x) for x from ``low`` to ``high``, both included."""
    if n < 1 << 16:
        table = _log_factorials(1 << max(10, n.bit_length()))
        return table[n] - table[low : high + 1] - table[n - high : n - low + 1][::-1]
    x = np.arange(low, high + 1, dtype="float64")
    return gammaln(n + 1.0) - gammaln(x + 1.0) - gammaln(n - x + 1.0)


@lru_cache(maxsize=8)
def _log_factorials(size: int) -> Any:
    return gammaln(np.arange(size, dtype="float64") + 1.0)
