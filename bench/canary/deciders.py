"""Who decides about a rollback: ours, and what people use instead.

A decider sees one :class:`~bench.canary.traffic.Tick` after another and says after each in which
runs it would roll back now.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import numpy as np

from bench.canary.latency import EDGES, limit
from bench.canary.traffic import Tick
from triune.stats.harm import HarmBatch, HarmTest
from triune.stats.tails import batch_tail_counts

ALPHA = 0.01
QUANTILES = (0.5, 0.9, 0.99)
GATE_WEIGHTS = (0.5, 0.1, 0.1, 0.3)
LATENCY_MARGIN = 0.05
LATENCY_TICK_LIMIT = 8.0


class Decider(Protocol):
    def look(self, tick: Tick) -> np.ndarray:
        """Take in one more tick; in which runs to roll back now."""
        ...


class Kernel:
    """The harm kernel on errors alone."""

    def __init__(self, test: HarmTest, runs: int, etas: np.ndarray | None = None) -> None:
        self._batch = HarmBatch(test, runs, etas=etas)

    def look(self, tick: Tick) -> np.ndarray:
        return self._batch.step(tick.errors()[:, None]) >= -math.log(ALPHA)


class Gate:
    """The weighted gate over errors and latency quantiles; one quantile when ``only`` is set.

    ``tick_limit``: the most that one tick may multiply the evidence of a latency by.
    """

    def __init__(
        self,
        test: HarmTest,
        runs: int,
        only: float | None = None,
        tick_limit: float = LATENCY_TICK_LIMIT,
    ) -> None:
        self._quantiles = QUANTILES if only is None else (only,)
        self._weights = np.log(GATE_WEIGHTS) if only is None else np.zeros(1)
        self._errors = HarmBatch(test, runs) if only is None else None
        slow = replace(test, tick_limit=tick_limit)
        self._slow = HarmBatch(slow, runs * len(self._quantiles))
        self._runs = runs

    def look(self, tick: Tick) -> np.ndarray:
        assert tick.latency_a is not None and tick.latency_b is not None
        counts = batch_tail_counts(
            EDGES, tick.latency_a, tick.latency_b, self._quantiles, margin=LATENCY_MARGIN
        )
        log_e = self._slow.step(counts.reshape(-1, 1, 4)).reshape(self._runs, -1)
        if self._errors is not None:
            errors = self._errors.step(tick.errors()[:, None])
            log_e = np.concatenate([errors[:, None], log_e], axis=1)
        return np.logaddexp.reduce(log_e + self._weights, axis=1) >= -math.log(ALPHA)


class Threshold:
    """Candidate's rate over the last minute above a limit, checked at every tick; 5 failed checks.

    The limit is the true rate of stable: what a person sets who knows it. Failed checks add up,
    as in Flagger. ``slow`` looks at p99 of the latency instead, against stable's true p99.
    """

    def __init__(self, runs: int, error_limit: float = 0.01, *, slow: bool = False) -> None:
        self._failed = np.zeros(runs, dtype=int)
        self._window: deque[tuple[np.ndarray, np.ndarray]] = deque(maxlen=6)
        self._slow, self._limit = slow, error_limit
        self._above = limit(0.99) < EDGES

    def look(self, tick: Tick) -> np.ndarray:
        events = tick.b
        if self._slow:
            assert tick.latency_b is not None
            events = tick.latency_b[:, self._above].sum(axis=1)
        self._window.append((tick.n_b, events))
        if len(self._window) == 6:
            served, bad = (sum(part) for part in zip(*self._window, strict=True))
            self._failed += bad > self._limit * served
        return self._failed >= 5


class MannWhitney:
    """One-minute points of both arms, judged every 10 minutes once there are 50, at 98 % (Kayenta).

    Points are error rates, or p99 of the latency when ``slow``. All points since the start count.
    """

    def __init__(self, runs: int, ticks: int, *, slow: bool = False) -> None:
        minutes = ticks // 6 + 1
        self._points = np.zeros((2, runs, minutes))
        self._minute: list[tuple[np.ndarray, ...]] = []
        self._wins = np.zeros(runs)
        self._have = self._judged = 0
        self._slow = slow

    def look(self, tick: Tick) -> np.ndarray:
        fired = np.zeros(len(tick.n_a), dtype=bool)
        if self._slow:
            assert tick.latency_a is not None and tick.latency_b is not None
            self._minute.append((tick.latency_a, tick.latency_b))
        else:
            self._minute.append((tick.n_a, tick.a, tick.n_b, tick.b))
        if len(self._minute) < 6:
            return fired
        sums = [sum(part) for part in zip(*self._minute, strict=True)]
        self._minute = []
        if self._slow:
            self._points[:, :, self._have] = [_p99(histogram) for histogram in sums]
        else:
            n_a, a, n_b, b = sums
            self._points[:, :, self._have] = a / np.maximum(n_a, 1), b / np.maximum(n_b, 1)
        self._have += 1
        if self._have % 10 or self._have < 50:
            return fired
        return self._judge()

    def _judge(self) -> np.ndarray:
        # U counts the pairs in which the candidate is higher; only pairs with a new point are new.
        old, m = self._judged, self._have
        a, b = self._points[:, :, :m]
        for mine, others, sign in ((b[:, old:], a, 1), (a[:, old:], b[:, :old], -1)):
            difference = sign * (mine[:, :, None] - others[:, None, :])
            self._wins += (difference > 0).sum((1, 2)) + 0.5 * (difference == 0).sum((1, 2))
        self._judged = m
        z = (self._wins - m * m / 2) / math.sqrt(m * m * (2 * m + 1) / 12)
        return z > 2.326


def _p99(histogram: np.ndarray) -> np.ndarray:
    below = histogram.cumsum(axis=1)
    return EDGES[(below < 0.99 * below[:, -1:]).sum(axis=1)]


class RepeatedZ:
    """Two proportions from the start to now, compared at every tick; worse at two-sided 5 %."""

    def __init__(self, runs: int) -> None:
        self._sums = np.zeros((runs, 4))

    def look(self, tick: Tick) -> np.ndarray:
        self._sums += tick.errors()
        n_a, n_b, a, b = self._sums.T
        with np.errstate(invalid="ignore", divide="ignore"):
            pooled = (a + b) / (n_a + n_b)
            error = np.sqrt(pooled * (1 - pooled) * (1 / n_a + 1 / n_b))
            return (b / n_b - a / n_a) / error > 1.96


Maker = Callable[[int], Decider]
