"""How long a rollout would take to see a given rise of the error rate, before it starts.

Definition
    The evidence of the harm test (:mod:`triune.stats.harm`) grows, per tick and for the
    alternative ``d``, by about ``G_d = eta E[ln LR(d)]`` at the expected counts. It starts at
    ``g_d w_1``, the share of the mixture on d that begins at once. A metric of weight ``w`` in the
    gate fires at ``1 / (alpha w)``, so after about the smallest over d of
    ``(ln(1/(alpha w)) - ln(g_d w_1)) / G_d`` ticks. :func:`detection` runs the test itself on
    simulated traffic for the median and the 90th percentile.

Parameters
    ``rate`` requests a second at the endpoint, ``share`` the candidate's of them, ``p0`` the event
    rate of stable and ``p1`` of the candidate from its first request on; the rest as for the test.

Assumptions
    Poisson traffic at a constant rate. Independent events, or with ``phi > 1`` counts of ``phi``
    times the variance (beta-binomial). Stable is compared at the same time: its rate need not be
    known by the test.

Guarantee
    None: a forecast. The simulation has a fixed seed, so the same question has the same answer;
    with 400 runs the median is known to about 5 %, the 90th percentile to about 10 %.

>>> 100.0 < expected_seconds(100, 0.1, 0.01, 0.02, alpha=0.01) < 300.0
True
>>> found = detection(100, 0.1, 0.01, 0.02, alpha=0.01)
>>> found.median_s <= 240.0, found.p90_s <= 480.0, found.detected_share
(True, True, 1.0)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from triune.stats.dispersion import eta
from triune.stats.harm import HarmBatch, HarmTest, start_weight
from triune.stats.mixture_bound import log_threshold
from triune.stats.tick_ratio import alternative, envelope, log_ratios

STEPS_TO_EXPECTED = 60
"""Ticks are merged in the simulation so that the expected time is at most this many steps."""

MOST_STEPS = 600
"""A run that has not fired after so many steps counts as one that never does."""


@dataclass(frozen=True, slots=True)
class Detection:
    """When simulated rollouts saw the harm, in seconds from the candidate's first request.

    ``median_s`` and ``p90_s`` are None when fewer than half, or nine tenths, of the runs saw it
    within the planned ticks; ``detected_share`` of all runs did.
    """

    median_s: float | None
    p90_s: float | None
    detected_share: float


def expected_seconds(
    rate: float,
    share: float,
    p0: float,
    p1: float,
    *,
    alpha: float,
    weight: float = 1.0,
    tick_s: float = 10.0,
    planned_ticks: int = 8640,
    phi: float = 1.0,
    margin: float = 0.0,
) -> float:
    """About how long the harm test takes to fire; inf when the evidence does not grow.

    Raises ValueError for a rate, share or weight out of its range.
    """
    _check(rate, share, p0, p1)
    test = HarmTest(margin=margin, planned_ticks=planned_ticks, phi=phi)
    n_a, n_b = rate * tick_s * (1.0 - share), rate * tick_s * share
    b, k = n_b * p1, n_a * p0 + n_b * p1
    low, trials, mixed = envelope(n_a, n_b, k)
    alternatives = [alternative(odds, margin) for odds in test.odds_ratios]
    gains = log_ratios(b - low, trials, mixed, alternatives, margin)
    needed = log_threshold(alpha * weight) - math.log(start_weight(planned_ticks, 1))
    ticks = min(
        (needed - log_weight) / (eta(phi) * gain) if gain > 0.0 else math.inf
        for log_weight, gain in zip(test.log_weights, gains, strict=True)
    )
    return ticks * tick_s


def detection(
    rate: float,
    share: float,
    p0: float,
    p1: float,
    *,
    alpha: float,
    weight: float = 1.0,
    tick_s: float = 10.0,
    planned_ticks: int = 8640,
    phi: float = 1.0,
    margin: float = 0.0,
    runs: int = 400,
    seed: int = 20,
) -> Detection:
    """Simulate ``runs`` rollouts and say when the harm test fires in them.

    Takes well under half a second. When the expected time is long, ticks are merged, which rounds
    the answer up to one sixtieth of that time.
    """
    expected = expected_seconds(
        rate,
        share,
        p0,
        p1,
        alpha=alpha,
        weight=weight,
        tick_s=tick_s,
        planned_ticks=planned_ticks,
        phi=phi,
        margin=margin,
    )
    merged = math.ceil(min(expected / tick_s, planned_ticks) / STEPS_TO_EXPECTED)
    steps = math.ceil(planned_ticks / merged)
    batch = HarmBatch(HarmTest(margin=margin, planned_ticks=steps, phi=phi), runs)
    draw = np.random.default_rng(seed)
    threshold, fired_at = log_threshold(alpha * weight), np.full(runs, np.inf)
    requests = rate * tick_s * merged
    traffic = _Traffic((requests * (1.0 - share), requests * share), (p0, p1), phi)
    for step in range(1, min(steps, MOST_STEPS) + 1):
        log_e = batch.step(traffic.counts(draw, runs))
        fired_at = np.where((log_e >= threshold) & np.isinf(fired_at), step, fired_at)
        if np.isfinite(fired_at).all():
            break
    seconds = np.minimum(np.sort(fired_at) * merged, planned_ticks) * tick_s
    fired = int(np.isfinite(fired_at).sum())
    return Detection(_at(seconds, fired, 0.5), _at(seconds, fired, 0.9), fired / runs)


def _check(rate: float, share: float, p0: float, p1: float) -> None:
    if not (rate > 0.0 and 0.0 < share < 1.0 and 0.0 <= p0 <= 1.0 and 0.0 <= p1 <= 1.0):
        raise ValueError(
            f"need rate > 0, 0 < share < 1 and event rates in [0, 1]: {rate}, {share}, {p0}, {p1}"
        )


@dataclass(frozen=True, slots=True)
class _Traffic:
    """Expected requests of stable and candidate in one step, their event rates, the scatter."""

    requests: tuple[float, float]
    rates: tuple[float, float]
    phi: float

    def counts(self, draw: np.random.Generator, runs: int) -> NDArray[np.int64]:
        """One step's counts of every run, in the shape that :class:`HarmBatch` takes."""
        n = draw.poisson(self.requests, (runs, 2))
        chance = np.broadcast_to(np.asarray(self.rates), n.shape)
        if self.phi > 1.0:
            # Beta-binomial: the variance is phi times the binomial one, whatever n is.
            alike = np.clip((self.phi - 1.0) / np.maximum(n - 1.0, 1.0), 0.0, 0.99)
            size = (1.0 - alike) / alike
            chance = draw.beta(*(np.maximum(p * size, 1e-9) for p in (chance, 1.0 - chance)))
        return np.concatenate([n, draw.binomial(n, chance)], axis=1)[:, None, :]


def _at(seconds: NDArray[np.float64], fired: int, quantile: float) -> float | None:
    rank = math.ceil(quantile * len(seconds))
    return float(seconds[rank - 1]) if rank <= fired else None
