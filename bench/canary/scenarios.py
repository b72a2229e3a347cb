"""The rows of the table: a world, who decides in it, and what is asked of ours."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np

from bench.canary.deciders import (
    ALPHA,
    Gate,
    Kernel,
    Maker,
    MannWhitney,
    RepeatedZ,
    Threshold,
)
from bench.canary.traffic import DAY_TICKS, World
from triune.stats.dispersion import eta, phi
from triune.stats.harm import HarmTest

OURS = ("kernel", "gate", "p99 kernel")
PRE_CANDIDATE_TICKS = 720


@dataclass(frozen=True, slots=True)
class Row:
    """One scenario. ``within``: the median that detection may take, in seconds; None: no harm."""

    name: str
    world: World
    deciders: dict[str, Maker]
    within: float | None = None


def rows() -> list[Row]:
    """All scenarios, the harmless ones first."""
    late = World(error_b=0.02, onset=2160, ticks=2160 + 240, latency=True)
    return [
        Row("stationary", World(latency=True), _on_errors(gate=True)),
        Row("daily rhythm and incidents", World(rhythm=True, latency=True), _on_errors(gate=True)),
        Row("ramp 1-5-10-25-50 %, errors double", World(ramp=True), _on_errors()),
        Row("clusters of three", World(cluster=3), _on_errors() | {"kernel": _tempered}),
        Row("processes held up once an hour", World(stalls=1 / 360, latency=True), _on_stalls()),
        Row("5 requests/min, 20 looks of 5 min", _low(), _few_looks()),
        Row("500 requests/s, 20 looks of 10 s", _high(), _few_looks(gate=True)),
        Row("errors 1 -> 2 %", _worse(0.02), _on_errors(gate=True), 240),
        Row("errors 1 -> 5 %", _worse(0.05), _on_errors(gate=True), 40),
        Row("p99 +50 %, tail only", World(tail_b=1.5, ticks=600, latency=True), _on_tail(), 80),
        Row("errors 1 -> 2 % after 6 h", late, _late(), 420),
    ]


def _worse(rate: float) -> World:
    return World(error_b=rate, ticks=600, latency=True)


def _low() -> World:
    return World(requests=25.0, share=0.5, error_a=0.05, error_b=0.05, ticks=20)


def _high() -> World:
    return World(requests=5000.0, ticks=20, latency=True)


def _on_errors(*, gate: bool = False) -> dict[str, Maker]:
    ours: dict[str, Maker] = {"kernel": lambda runs: Kernel(HarmTest(), runs)}
    if gate:
        ours["gate"] = lambda runs: Gate(HarmTest(), runs)
    return ours | {
        "threshold": Threshold,
        "Mann-Whitney": lambda runs: MannWhitney(runs, DAY_TICKS),
        "repeated z": RepeatedZ,
    }


def _on_tail() -> dict[str, Maker]:
    return {
        "p99 kernel": lambda runs: Gate(HarmTest(), runs, only=0.99),
        "gate": lambda runs: Gate(HarmTest(), runs),
        "threshold": lambda runs: Threshold(runs, slow=True),
        "Mann-Whitney": lambda runs: MannWhitney(runs, DAY_TICKS, slow=True),
    }


def _on_stalls() -> dict[str, Maker]:
    return {
        "gate": lambda runs: Gate(HarmTest(), runs),
        "without limit": lambda runs: Gate(HarmTest(), runs, tick_limit=inf),
    }


def _late() -> dict[str, Maker]:
    return {
        "kernel": lambda runs: Kernel(HarmTest(), runs),
        "gate": lambda runs: Gate(HarmTest(), runs),
    }


def _few_looks(*, gate: bool = False) -> dict[str, Maker]:
    """All weight on 20 ticks: the test at its most eager."""
    test = HarmTest(planned_ticks=20)
    ours: dict[str, Maker] = {"kernel": lambda runs: Kernel(test, runs)}
    if gate:
        ours["gate"] = lambda runs: Gate(test, runs)
    return ours | {"repeated z": RepeatedZ}


def _tempered(runs: int) -> Kernel:
    """Phi of each run from two hours of stable alone, split in halves, before the candidate."""
    draw = np.random.default_rng(97)
    world = World(cluster=3)
    halves = world.requests * (1 - world.share) / 2
    parts = world.cluster * draw.binomial(
        int(halves), world.error_a / world.cluster, (runs, PRE_CANDIDATE_TICKS, 2)
    )
    found = [phi(part[:, 0], part.sum(axis=1), 0.5).phi for part in parts]
    test = HarmTest(phi=float(np.median(found)))
    return Kernel(test, runs, np.array([eta(value) for value in found]))


def allowed(runs: int) -> float:
    """Alpha and three standard errors: the share of false rollbacks that passes."""
    return ALPHA + 3 * float(np.sqrt(ALPHA * (1 - ALPHA) / runs))
