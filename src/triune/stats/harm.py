"""Is the candidate hurting users? An e-process that may be looked at after every tick.

Definition
    ``R_d(t) = (R_d(t-1) + w_t) LR_t(d)^eta``, ``R_d(0) = 0``, for each odds ratio ``e^d`` of
    a grid; ``E_t = sum_d g_d R_d(t) + (1 - sum_{j<=t} w_j)``. ``LR_t`` is the product over the
    strata of the tick (:mod:`triune.stats.tick_ratio`); the grid weights ``g`` and the start-time
    weights ``w`` sum to 1 and are fixed before the test. ``w_1 = 0.6`` stands for harm from the
    first request on; the rest is spread over the later ticks, for harm that begins then.

Guarantee
    While the odds ratio stays at most ``1 + margin`` in every tick and stratum, the chance that
    E ever reaches ``1/alpha`` is at most ``alpha``, whenever and however often one looks.
    Each factor has conditional mean at most 1 given the past and the tick's margins; powers
    ``eta <= 1`` keep that (Jensen); R_d(t-1) + w_t is known before tick t, so E is a
    nonnegative supermartingale that starts at 1, and Ville's inequality (1939) applies. The
    request numbers, the shares and the common event rate may change in any way that does not
    look at the tick's own outcomes.

Assumptions
    Events are independent given the margins. Retries, sessions and sick hosts break that; count
    distinct units, and temper by ``eta = 1/(1 + 2 (phi - 1))`` (:mod:`triune.stats.dispersion`).
    With ``phi > 1`` the guarantee is approximate.

A tick without information
    (no requests in one arm, no event at all) has LR = 1: it moves ``w_t`` from the part not yet
    started into R and leaves E as it is. It still counts as a tick, which is valid because the
    weights depend on the tick's number alone.

Source
    Test supermartingales: Howard, Ramdas, McAuliffe and Sekhon (2020); Ramdas, Grünwald, Vovk and
    Shafer (2023). Start-time mixtures: Shin, Ramdas and Rinaldo (2024), "E-detectors". How fast and
    how silent it is: ``bench/canary_simulation.py``.

>>> test, state = HarmTest(), HarmState()
>>> for _ in range(6):
...     state = step(test, state, [(900, 100, 9, 5)])
>>> state.ticks, state.log_e > math.log(100), state.onset
(6, True, 1)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from triune.stats.dispersion import eta
from triune.stats.logsum import log_add, log_sum
from triune.stats.tick_ratio import Counts, alternative, envelope, log_ratios

GRID = (1.1, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0)
"""Odds ratios of the alternatives; those not above ``1 + margin`` are left out."""

WEIGHTS = (0.5, 1.5, 3.0, 3.5, 2.5, 2.0, 1.0, 0.5)
"""How much of the mixture each point of the grid holds, before it is scaled to sum to 1."""

LARGEST_OVERDISPERSED = 5.0
"""The largest odds ratio used when phi is above 1.1: one sick host is not a factor of 20."""

FIRST_WEIGHT = 0.6
"""w_1. Grid weights and w_1 were chosen by simulation, see ``bench/canary_simulation.py``."""


@dataclass(frozen=True, slots=True)
class HarmTest:
    """What is fixed before the test begins.

    Parameters
    ----------
    margin: the tolerated odds ratio is ``1 + margin``; at least 0
    planned_ticks: over how many ticks the start-time weights are spread; later ticks still
        count, but no start after the last planned one is looked for. None: unbounded, with weights
        that fall as ``1 / (j-1)^2``
    phi: overdispersion, at least 1
    tick_limit: the most by which one tick may multiply the evidence for an alternative; above 1.
        A cut likelihood ratio is a smaller one, so the guarantee stands. For events that one
        moment of one process causes together, as slow answers are when it is held up for a
        second: then a single tick proves nothing, however many requests it held up
    offset: a log odds ratio, at least 0, that is tolerated besides: what the split of the units
        may cause by itself (:mod:`triune.stats.split`). It may be another one in every tick, as
        long as it does not look at the tick's outcomes
    """

    margin: float = 0.0
    planned_ticks: int | None = 8640
    phi: float = 1.0
    tick_limit: float = math.inf
    offset: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.margin < math.inf:
            raise ValueError(f"margin must be at least 0, not {self.margin}")
        if not 1.0 <= self.phi < math.inf:
            raise ValueError(f"phi must be at least 1, not {self.phi}")
        if self.planned_ticks is not None and self.planned_ticks < 1:
            raise ValueError(f"planned_ticks must be at least 1, not {self.planned_ticks}")
        if not 0.0 <= self.offset < math.inf:
            raise ValueError(f"offset must be at least 0, not {self.offset}")
        if not self.tick_limit > 1.0:
            raise ValueError(f"tick_limit must be above 1, not {self.tick_limit}")
        if not self.odds_ratios:
            raise ValueError(f"no alternative of {GRID} lies above the margin {self.margin}")

    @property
    def tolerated(self) -> float:
        """The odds ratio that is no harm, less 1."""
        return (1.0 + self.margin) * math.exp(self.offset) - 1.0

    @property
    def odds_ratios(self) -> tuple[float, ...]:
        """The alternatives of this test, in rising order; each is multiplied by ``e^offset``."""
        return tuple(odds for odds, _ in self._alternatives())

    @property
    def log_weights(self) -> tuple[float, ...]:
        """ln g_d of each of them."""
        total = sum(weight for _, weight in self._alternatives())
        return tuple(math.log(weight / total) for _, weight in self._alternatives())

    def _alternatives(self) -> list[tuple[float, float]]:
        cap = LARGEST_OVERDISPERSED if self.phi > 1.1 else math.inf
        pairs = zip(GRID, WEIGHTS, strict=True)
        return [(odds, weight) for odds, weight in pairs if 1.0 + self.margin < odds <= cap]


@dataclass(frozen=True, slots=True)
class HarmState:
    """Where a test stands after ``ticks`` ticks; of constant size, written as plain JSON.

    ``log_r`` holds ln R_d for each alternative. ``log_best`` and ``since`` say which single start
    explains the data best under each alternative: a description, no part of the guarantee.
    """

    ticks: int = 0
    log_r: tuple[float, ...] = ()
    log_e: float = 0.0
    log_e_max: float = 0.0
    log_best: tuple[float, ...] = ()
    since: tuple[int, ...] = ()

    @property
    def p(self) -> float:
        """The anytime-valid p-value: one over the largest E so far."""
        return math.exp(-self.log_e_max)

    @property
    def onset(self) -> int | None:
        """The tick (from 1) at which the harm most plausibly began; None before the first."""
        return max(zip(self.log_best, self.since, strict=True))[1] if self.since else None


def step(test: HarmTest, state: HarmState, counts: Sequence[Counts] | np.ndarray) -> HarmState:
    """The state after one more tick.

    Parameters
    ----------
    counts: one row ``(n_a, n_b, a, b)`` for each stratum; any number of rows

    Raises ValueError when there are more events than requests, or fewer than none.
    """
    plan = _plan(test)
    gains = _gains(test, plan, counts.tolist() if isinstance(counts, np.ndarray) else counts)
    tick = state.ticks + 1
    weight = start_weight(test.planned_ticks, tick)
    log_weight = math.log(weight) if weight > 0.0 else -math.inf
    none = (-math.inf,) * len(plan.alternatives)
    log_r = [log_add(old, log_weight) for old in state.log_r or none]
    log_best, since = list(state.log_best or none), list(state.since or (tick,) * len(none))
    for i, best in enumerate(log_best):
        if log_weight > best:
            log_best[i], since[i] = log_weight, tick
    log_e = state.log_e
    if gains:
        log_r = [log + gain for log, gain in zip(log_r, gains, strict=True)]
        log_best = [log + gain for log, gain in zip(log_best, gains, strict=True)]
        weighted = [g + log for g, log in zip(plan.log_weights, log_r, strict=True)]
        log_e = log_sum(weighted, mass_left(test.planned_ticks, tick))
    log_e_max = max(state.log_e_max, log_e)
    return HarmState(tick, tuple(log_r), log_e, log_e_max, tuple(log_best), tuple(since))


class HarmBatch:
    """Many independent runs of one test at once, for simulation and planning.

    >>> batch = HarmBatch(HarmTest(), runs=2)
    >>> after = batch.step(np.array([[[900, 100, 9, 1]], [[900, 100, 9, 9]]]))
    >>> bool(after[0] < after[1])
    True
    """

    def __init__(self, test: HarmTest, runs: int, etas: np.ndarray | None = None) -> None:
        """``etas``: one power for each run, instead of the test's own."""
        self.test, self.ticks = test, 0
        self._plan = _plan(test)
        self._eta = self._plan.eta if etas is None else etas[:, None]
        self.log_r = np.full((runs, len(self._plan.alternatives)), -np.inf)
        self.log_e, self.log_e_max = np.zeros(runs), np.zeros(runs)

    def step(self, counts: np.ndarray) -> np.ndarray:
        """One more tick in every run; ln E of each. ``counts``: (runs, strata, 4) integers."""
        plan, self.ticks = self._plan, self.ticks + 1
        n_a, n_b, a, b = np.moveaxis(np.asarray(counts), -1, 0)
        low, trials, share = envelope(n_a, n_b, a + b)
        tolerated = self.test.tolerated
        ratios = log_ratios(b - low, trials, share, plan.alternatives, tolerated, log1p=np.log1p)
        weight = start_weight(self.test.planned_ticks, self.ticks)
        if weight > 0.0:
            self.log_r = np.logaddexp(self.log_r, math.log(weight))
        gain = np.stack([ratio.sum(axis=1) for ratio in ratios], axis=1)
        self.log_r = self.log_r + np.minimum(self._eta * gain, plan.most)
        left = mass_left(self.test.planned_ticks, self.ticks)
        log_left = math.log(left) if left > 0.0 else -np.inf
        weighted = self.log_r + np.array(plan.log_weights)
        top = np.maximum(weighted.max(axis=1), log_left)
        total = np.exp(weighted - top[:, None]).sum(axis=1) + np.exp(log_left - top)
        self.log_e = top + np.log(total)
        self.log_e_max = np.maximum(self.log_e_max, self.log_e)
        return self.log_e


def start_weight(planned_ticks: int | None, tick: int) -> float:
    """w_t: the share of the mixture that starts at ``tick``, counted from 1."""
    if tick == 1:
        return 1.0 if planned_ticks == 1 else FIRST_WEIGHT
    if planned_ticks is None:
        return 6.0 * (1.0 - FIRST_WEIGHT) / (math.pi * (tick - 1)) ** 2
    return (1.0 - FIRST_WEIGHT) / (planned_ticks - 1) if tick <= planned_ticks else 0.0


def mass_left(planned_ticks: int | None, tick: int) -> float:
    """1 - (w_1 + ... + w_tick), the share that has not started yet; never rounded up."""
    if planned_ticks is None:
        return 6.0 * (1.0 - FIRST_WEIGHT) / math.pi**2 * _inverse_squares_from(tick)
    return (1.0 - FIRST_WEIGHT) * max(0, planned_ticks - tick) / max(1, planned_ticks - 1)


def _inverse_squares_from(n: int) -> float:
    """The sum of 1/k^2 over k >= n (the trigamma function), from below by its asymptotic series."""
    head = sum(1.0 / k**2 for k in range(n, 20))
    m = float(max(n, 20))
    return head + 1.0 / m + 1.0 / (2.0 * m**2) + 1.0 / (6.0 * m**3) - 1.0 / (30.0 * m**5)


@dataclass(frozen=True, slots=True)
class _Plan:
    alternatives: tuple[tuple[float, float], ...]
    log_weights: tuple[float, ...]
    eta: float
    most: float


@lru_cache(maxsize=256)
def _plan(test: HarmTest) -> _Plan:
    alternatives = tuple(
        alternative(odds * math.exp(test.offset), test.tolerated) for odds in test.odds_ratios
    )
    return _Plan(alternatives, test.log_weights, eta(test.phi), math.log(test.tick_limit))


def _gains(test: HarmTest, plan: _Plan, rows: Sequence[Counts]) -> list[float] | None:
    """eta ln LR of the tick under each alternative; None when it says nothing."""
    gains: list[float] | None = None
    for n_a, n_b, a, b in rows:
        if not (0 <= a <= n_a and 0 <= b <= n_b):
            raise ValueError(f"impossible counts: {a} of {n_a} and {b} of {n_b}")
        low, trials, share = envelope(n_a, n_b, a + b)
        if trials == 0:
            continue
        ratios = log_ratios(b - low, trials, share, plan.alternatives, test.tolerated)
        gains = [g + r for g, r in zip(gains, ratios, strict=True)] if gains else ratios
    return [min(plan.eta * gain, plan.most) for gain in gains] if gains else None
