"""What a rollout is made of: its definition, how far it has come, and what it has seen.

A rollout's definition is fixed when it begins; editing ``triune.toml`` changes the next one.
Everything here is immutable and reads back from JSON as it was written.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

from triune.core.rollout_config import MetricName, Mode, RolloutTable, Strategy
from triune.delivery.gateway.model import Snapshot, Stratum, Tally
from triune.delivery.rollout.quality import QualityState
from triune.delivery.rollout.shadow import ShadowState
from triune.delivery.rollout.verdict import Verdict
from triune.stats.harm import HarmState
from triune.stats.noharm import NoHarmState

LATENCIES: Mapping[MetricName, float] = {
    MetricName.LATENCY_P50: 0.5,
    MetricName.LATENCY_P90: 0.9,
    MetricName.LATENCY_P99: 0.99,
}
LATENCY_MARGIN = 0.05
SHADOW_PAIRS = 1000
_DEFAULT_WEIGHTS = {
    MetricName.ERRORS: 5.0,
    MetricName.LATENCY_P50: 1.0,
    MetricName.LATENCY_P90: 1.0,
    MetricName.LATENCY_P99: 3.0,
}


class Ticket(msgspec.Struct, frozen=True):
    """Which rollout of which endpoint."""

    endpoint: str
    rollout: str


class Action(StrEnum):
    """What follows from a look."""

    HOLD = "hold"
    ADVANCE = "advance"
    PROMOTE = "promote"
    ROLL_BACK = "roll-back"
    ASK = "ask"


ACTIONS: Mapping[Action, str] = {
    Action.HOLD: "The share stays; the next look decides again.",
    Action.ADVANCE: "The next step's share of units moves to the candidate.",
    Action.PROMOTE: "The candidate gets all traffic.",
    Action.ROLL_BACK: "All traffic returns to the stable release.",
    Action.ASK: "The share stays until a person resumes, promotes or aborts.",
}


class Metric(msgspec.Struct, frozen=True):
    """One thing to compare. ``weight`` is its part of alpha within its mode, 0 for `OBSERVE`;
    ``margin`` the tolerated excess of the odds (for latencies: of the time); ``phi`` the
    overdispersion it is judged with; ``offsets`` for each step what the split of the units may
    cause by itself (`triune.stats.split`): log odds ratios, at least and at most."""

    name: MetricName
    weight: float
    margin: float
    mode: Mode
    phi: float = 1.0
    offsets: tuple[tuple[float, float], ...] = ()

    def offset(self, step: int) -> tuple[float, float]:
        """The offset of a step; none where nothing is known."""
        return self.offsets[step] if step < len(self.offsets) else (0.0, 0.0)

    @property
    def quantile(self) -> float | None:
        """The latency quantile it looks at; None for one that counts events."""
        return LATENCIES.get(self.name)


class Definition(msgspec.Struct, frozen=True):
    """How a rollout goes. Weights are shares of 10,000; times in seconds. The share of one that is
    ``kept`` stays until somebody promotes or aborts it; harm still rolls it back."""

    strategy: Strategy
    steps: tuple[int, ...]
    metrics: tuple[Metric, ...]
    step_s: float
    min_requests: int
    tick_s: float
    warm_up_s: float
    horizon_s: float
    alpha: float
    latency_floor_us: float
    phi: float
    baseline: bool
    hard_stop_share: float
    hard_stop_errors: int
    shadow_pairs: int
    shadow_share: int
    shadow_disagreement: float
    shadow_failures: float
    score_threshold: float
    score_tolerance: float | None
    label_coverage: float
    label_patience_s: float
    kept: bool = False

    @property
    def planned_ticks(self) -> int:
        """Looks until the horizon: what the kernel spreads its start times over."""
        return max(1, round(self.horizon_s / self.tick_s))

    @property
    def last_step(self) -> int:
        """The index of the step before promotion."""
        return len(self.steps) - 1


def define(table: RolloutTable | None, strategy: Strategy | None = None) -> Definition:
    """A rollout's definition from an endpoint's table; ``strategy`` overrides the table's.

    Without a table the strategy is blue-green. A strategy that the command asks for takes the
    table's other settings, or the defaults.
    """
    given = table or RolloutTable(strategy=Strategy.BLUE_GREEN)
    chosen = strategy or given.strategy
    pairs = given.shadow_pairs
    if chosen is Strategy.SHADOW and pairs == 0:
        pairs = SHADOW_PAIRS
    if chosen is Strategy.BLUE_GREEN and table is not None and table.strategy != chosen:
        pairs = 0
    return Definition(
        strategy=chosen,
        steps=tuple(round(step * 100) for step in given.steps),
        metrics=_metrics(given),
        step_s=given.step_s,
        min_requests=given.min_requests,
        tick_s=given.tick_s,
        warm_up_s=given.warm_up_s,
        horizon_s=given.horizon_s,
        alpha=given.alpha,
        latency_floor_us=given.latency_floor_ms * 1000,
        phi=given.phi,
        baseline=given.baseline and chosen is Strategy.CANARY,
        hard_stop_share=given.hard_stop_share,
        hard_stop_errors=given.hard_stop_errors,
        shadow_pairs=pairs,
        shadow_share=round(given.shadow_share * 100),
        shadow_disagreement=given.shadow_disagreement,
        shadow_failures=given.shadow_failures,
        score_threshold=given.score_threshold,
        score_tolerance=given.score_tolerance,
        label_coverage=given.label_coverage,
        label_patience_s=given.label_patience_s,
    )


def _metrics(table: RolloutTable) -> tuple[Metric, ...]:
    """Weights sum to 1 within each mode, so that each mode's gate spends alpha once."""
    raw = [(m.name, m.weight, m.margin, m.mode) for m in table.metrics] or [
        (name, weight, None, Mode.AUTOMATIC) for name, weight in _DEFAULT_WEIGHTS.items()
    ]
    totals = {mode: sum(w for _, w, _, m in raw if m is mode) for mode in Mode}
    found = []
    for name, weight, margin, mode in raw:
        usual = LATENCY_MARGIN if name in LATENCIES else 0.0
        share = 0.0 if mode is Mode.OBSERVE else weight / totals[mode]
        found.append(Metric(name, share, usual if margin is None else margin, mode, table.phi))
    return tuple(found)


class MetricState(msgspec.Struct, frozen=True):
    """What a metric has seen: requests and events of control (a) and candidate (b); ``step_n`` of
    the candidate's requests came before the present step."""

    harm: HarmState = HarmState()
    no_harm: NoHarmState = NoHarmState()
    n_a: int = 0
    n_b: int = 0
    a: int = 0
    b: int = 0
    step_n: int = 0


class Seen(msgspec.Struct, frozen=True):
    """A cumulative reading: the gateway's epoch and the tallies by upstream and stratum."""

    epoch: str
    at: float
    rows: tuple[tuple[str, Stratum, Tally], ...] = ()

    @classmethod
    def of(cls, snapshot: Snapshot, at: float, upstreams: frozenset[str]) -> Seen:
        """A snapshot reduced to the arms that matter."""
        rows = sorted((u, s, t) for (u, s), t in snapshot.tallies.items() if u in upstreams)
        return cls(snapshot.epoch, at, tuple(rows))

    @property
    def tallies(self) -> Mapping[tuple[str, Stratum], Tally]:
        return {(upstream, stratum): tally for upstream, stratum, tally in self.rows}


class Progress(msgspec.Struct, frozen=True):
    """How far a rollout has come, in looks with readings; none of it depends on the clock.

    ``watched_s`` are the seconds of all looks, ``judged_s`` those with readings after the
    warm-up, ``step_s`` and ``step_requests`` those since the present step began. ``times_a`` and
    ``times_b`` are the answer times of control and candidate since the warm-up: lower edge of a
    bin in microseconds to count.

    ``asked``: a person has been asked, for the reason of ``doubts``; those a person has answered
    are ``acknowledged``, and the horizon counts from ``granted_s``. ``answer`` is the mark of the
    latest `Gates.resumed` that is known: another one is an answer.
    """

    step: int = 0
    looks: int = 0
    gaps: int = 0
    watched_s: float = 0.0
    warm_s: float = 0.0
    judged_s: float = 0.0
    step_s: float = 0.0
    step_requests: int = 0
    exposed: int = 0
    exposed_errors: int = 0
    times_a: Mapping[float, int] = {}
    times_b: Mapping[float, int] = {}
    metrics: Mapping[MetricName, MetricState] = {}
    asked: bool = False
    answer: str = ""
    doubts: tuple[MetricName, ...] = ()
    acknowledged: frozenset[MetricName] = frozenset()
    granted_s: float = 0.0


class Look(msgspec.Struct, frozen=True):
    """One look: when, what was found, what follows, when the next one is due.

    ``step`` is the step it was taken in; ``reading`` what its event says was read; ``asks`` the
    mark of the pause with which it asks a person.
    """

    at: float
    number: int
    verdict: Verdict
    action: Action
    reason: str
    log_e: float
    culprits: tuple[MetricName, ...] = ()
    step: int = 0
    reading: Mapping[str, Any] = {}
    asks: str = ""
    gap: str = ""
    next_at: float | None = None


class Wish(msgspec.Struct, frozen=True):
    """What a person asked for, and who; ``mark`` is the id of the event that says so."""

    actor: str
    reason: str
    at: float
    mark: str = ""


class Gates(msgspec.Struct, frozen=True):
    """The human gates of one rollout; ``resumed`` is the latest end of a pause."""

    rollout: str
    paused: Wish | None = None
    resumed: Wish | None = None
    promote: Wish | None = None
    abort: Wish | None = None


class Record(msgspec.Struct, frozen=True):
    """All that a rollout knows; one file for each endpoint, that of its latest rollout.

    ``mark`` is the id of the event of the last look, or of the end, minted before it is told.
    ``compared`` are the pairs and failures of the last look at a shadow. ``outcome`` is empty
    until the rollout is over.
    """

    rollout: str
    endpoint: str
    release: str
    stable: str | None
    actor: str
    started: float
    definition: Definition
    progress: Progress = Progress()
    seen: Seen | None = None
    last: Look | None = None
    mark: str = ""
    shadow: ShadowState | None = None
    compared: tuple[int, int] = (0, 0)
    quality: QualityState | None = None
    outcome: str = ""
