"""Simulated traffic of a stable and a candidate arm, one tick at a time, many runs at once."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from bench.canary.latency import Law, histograms

TICK_SECONDS = 10
DAY_TICKS = 8640
USUAL = Law()


@dataclass(frozen=True, slots=True)
class Moment:
    """What the world is like in one tick."""

    requests: float
    share: float
    error_a: float
    error_b: float
    law_a: Law = USUAL
    law_b: Law = USUAL


@dataclass(frozen=True, slots=True)
class Tick:
    """What was counted in one tick; every array has one row a run."""

    n_a: np.ndarray
    n_b: np.ndarray
    a: np.ndarray
    b: np.ndarray
    latency_a: np.ndarray | None = None
    latency_b: np.ndarray | None = None

    def errors(self) -> np.ndarray:
        """Rows ``(n_a, n_b, a, b)``: (runs, 4)."""
        return np.stack([self.n_a, self.n_b, self.a, self.b], axis=-1)


@dataclass(frozen=True, slots=True)
class World:
    """100 requests a second, a tenth of them to the candidate, 1 % errors, unless said otherwise.

    ``error_b`` (and the candidate's tail) hold from tick ``onset`` on. ``cluster`` errors come at
    once. ``rhythm``: traffic, errors and latency follow a daily wave shared by both arms, and
    every four hours an incident of up to 20 minutes multiplies errors and latency for both.
    ``stalls``: in that share of the ticks, independently, an arm's process is held up and most of
    its answers take three times as long.
    ``ramp``: the share goes 1, 5, 10, 25, 50 % while the error rate of both arms doubles.
    """

    requests: float = 100.0 * TICK_SECONDS
    share: float = 0.1
    error_a: float = 0.01
    error_b: float = 0.01
    tail_b: float = 1.0
    onset: int = 0
    cluster: int = 1
    rhythm: bool = False
    ramp: bool = False
    stalls: float = 0.0
    latency: bool = False
    ticks: int = DAY_TICKS
    _tables: dict[Law, np.ndarray] = field(default_factory=dict, compare=False)

    def moment(self, tick: int) -> Moment:
        """The expectations of tick number ``tick``, counted from 0."""
        error_b = self.error_b if tick >= self.onset else self.error_a
        tail = self.tail_b if tick >= self.onset else 1.0
        if self.ramp:
            part = tick / self.ticks
            share = (0.01, 0.05, 0.10, 0.25, 0.50)[int(5 * part)]
            return Moment(self.requests, share, self.error_a * (1 + part), error_b * (1 + part))
        if self.rhythm:
            wave = math.sin(2 * math.pi * tick / DAY_TICKS)
            incident = 10.0 if tick % 1440 < 30 + 15 * (tick // 1440) else 1.0
            factor = (1.0 + 0.5 * wave) * incident
            law = Law(scale=round((1.0 + 0.3 * wave) * (2.0 if incident > 1 else 1.0), 1))
            slow = Law(law.scale, tail)
            return Moment(
                self.requests * (1 + 0.6 * wave),
                self.share,
                self.error_a * factor,
                error_b * factor,
                law,
                slow,
            )
        return Moment(self.requests, self.share, self.error_a, error_b, USUAL, Law(tail=tail))

    def draw(self, draw: np.random.Generator, tick: int, runs: int) -> Tick:
        """Independent counts of ``runs`` runs in tick number ``tick``."""
        now = self.moment(tick)
        total = draw.poisson(now.requests, runs)
        n_b = draw.binomial(total, now.share)
        n_a = total - n_b
        a, b = (
            np.minimum(n, self.cluster * draw.binomial(n, rate / self.cluster))
            for n, rate in ((n_a, now.error_a), (n_b, now.error_b))
        )
        if not self.latency:
            return Tick(n_a, n_b, a, b)
        arms = [self._latency(draw, law, n) for law, n in ((now.law_a, n_a), (now.law_b, n_b))]
        return Tick(n_a, n_b, a, b, *arms)

    def _latency(self, draw: np.random.Generator, law: Law, n: np.ndarray) -> np.ndarray:
        usual = histograms(draw, self._table(law), n)
        if self.stalls == 0.0:
            return usual
        held_up = draw.random(len(n)) < self.stalls
        usual[held_up] = histograms(draw, self._table(Law(scale=3.0)), n[held_up])
        return usual

    def _table(self, law: Law) -> np.ndarray:
        if law not in self._tables:
            self._tables[law] = law.table()
        return self._tables[law]
