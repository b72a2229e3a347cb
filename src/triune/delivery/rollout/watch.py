"""The canary's watch: look every tick, and do what the look decides.

A look is durable before it is told, and told before it acts: a watch that dies anywhere is
taken up by the next one with the same evidence. The gateway's counters go on meanwhile, so
that no request is missed and none is counted twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from triune.core.errors import Conflict, Unavailable
from triune.core.ids import new_id
from triune.core.rollout_config import MetricName
from triune.delivery.gateway.model import Snapshot
from triune.delivery.rollout import analysis, events, readings
from triune.delivery.rollout.cohorts import CohortRule
from triune.delivery.rollout.conductor import Conductor, Where
from triune.delivery.rollout.decide import decide
from triune.delivery.rollout.model import (
    Action,
    Gates,
    Look,
    Progress,
    Record,
    Seen,
    Ticket,
    Wish,
)
from triune.delivery.rollout.quality import QualityReader, QualityRule, QualityState, Side, begin
from triune.delivery.rollout.readings import Contest, Gap, Tick
from triune.delivery.state import EndpointState, Phase, Role
from triune.ledger.envelope import microseconds

POLL_SECONDS = 0.5
"""How often a watch asks whether a person or the guard has changed something."""


class Stamps:
    """Notices when an endpoint or its gates have changed: two calls of ``stat``."""

    def __init__(self, conductor: Conductor, endpoint: str) -> None:
        store, records = conductor.tools.store, conductor.records
        self._paths = store.path(endpoint), records.gates_path(endpoint)
        self._last: tuple[tuple[int, int], ...] = ()

    def taken(self) -> None:
        """What is there now is known."""
        self._last = self._now()

    def changed(self) -> bool:
        """Whether it is other than what was known."""
        return self._now() != self._last

    def _now(self) -> tuple[tuple[int, int], ...]:
        return tuple(_stamp(path) for path in self._paths)


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except FileNotFoundError:
        return 0, 0
    return status.st_mtime_ns, status.st_ino


class Watch:
    """Looks at one rollout in phase `CANARY`. Only its holder of the watch lock may use it."""

    def __init__(
        self, conductor: Conductor, snapshot: Callable[[], Snapshot], ticket: Ticket
    ) -> None:
        self._conductor = conductor
        self._tools = conductor.tools
        self._snapshot = snapshot
        self._outcomes: QualityReader | None = None
        self._ticket = ticket
        self._looked: float | None = None
        self._live_us: int | None = None
        self._taken_over = False
        self._placed = False
        self._stamps = Stamps(conductor, ticket.endpoint)

    def turn(self) -> Where:
        """Look when a look is due or something has changed; returns where the rollout stands.

        ``wait_s`` is how long nothing needs to be done unless something changes.
        """
        where = self._conductor.where(self._ticket)
        if where.phase is not Phase.CANARY:
            return where
        record = self._conductor.records.find(self._ticket.endpoint)
        if record is None or record.rollout != self._ticket.rollout:
            return self._conductor.lost(self._ticket)
        try:
            return self._turn(record)
        except Conflict as conflict:
            if conflict.reference != "rollout-superseded":
                raise
            return self._conductor.where(self._ticket)

    def _turn(self, record: Record) -> Where:
        gates = self._conductor.records.gates(self._ticket.endpoint, self._ticket.rollout)
        self._stamps.taken()
        if self._take_over(record, gates) or self._catch_up(record, gates):
            return self._after(record)
        if self._due(record) > 0.0 and not urgent(gates):
            return Where(Phase.CANARY, self._due(record))
        self._act(*self._look(record, gates))
        return self._after(record)

    def _after(self, record: Record) -> Where:
        found = self._conductor.where(self._ticket)
        return found if found.over else Where(found.phase, record.definition.tick_s)

    def changed(self) -> bool:
        """Whether the endpoint or its gates are other than at the last turn."""
        return self._stamps.changed()

    def _take_over(self, record: Record, gates: Gates) -> bool:
        """Once: tell and do again what a watch that died may have left; true when it acts.

        What takes users off the candidate, or asks a person, is done; what would move more users to
        it is decided anew, since a person may have said something in between.
        """
        if self._taken_over and self._placed:
            return False
        weight = _weight(self._tools.store.load(self._ticket.endpoint))
        if weight > 0:
            self._moved(weight)
        if self._taken_over:
            return False
        last = record.last
        self._taken_over = last is None or self._retell(record, last)
        if last is None or not _undone(record, last, gates):
            return False
        self._act(record, last)
        return True

    def _retell(self, record: Record, last: Look) -> bool:
        workspace, ticket = self._tools.workspace.name, self._ticket
        told = self._conductor.tell(events.looked(workspace, record, last))
        if told and last.asks:
            asked = events.gated(workspace, ticket.endpoint, ticket.rollout, "pause", _wish(last))
            told = self._conductor.tell(asked)
        return told

    def _catch_up(self, record: Record, gates: Gates) -> bool:
        """Make the share what the record says; true when that leaves nothing to look at yet.

        A rollout that is paused before its first step waits with no units moved.
        """
        now = self._tools.store.load(self._ticket.endpoint)
        weight = _weight(now)
        wanted = record.definition.steps[record.progress.step]
        unsure = _changing(record) and self._live_us is None
        if (weight >= wanted and not unsure) or urgent(gates):
            return False
        if weight == 0 and gates.paused is not None:
            return True
        if not self._moved(wanted) or record.seen is not None:
            return False
        self._conductor.records.save(msgspec.structs.replace(record, seen=self._read(now)))
        self._looked = self._tools.clock.monotonic()
        return True

    def _due(self, record: Record) -> float:
        if self._looked is None:
            return 0.0
        passed = self._tools.clock.monotonic() - self._looked
        return max(0.0, record.definition.tick_s - passed)

    def _look(self, record: Record, gates: Gates) -> tuple[Record, Look]:
        now = self._now()
        contest = _contest(now)
        seconds, at = self._passed(record), self._tools.clock.now().timestamp()
        after = self._read(now)
        reading = readings.between(record.seen, after, contest, seconds)
        progress = resumed(record.progress, gates)
        quality = record.quality
        if isinstance(reading, Gap):
            progress = msgspec.structs.replace(
                progress, gaps=progress.gaps + 1, watched_s=progress.watched_s + seconds
            )
        elif _warming(record, progress):
            progress = analysis.warm(progress, reading)
        else:
            quality, cohorts = self._cohorts(record, now)
            progress = analysis.judged(record.definition, progress, reading, cohorts)
        read = msgspec.structs.replace(
            record, progress=progress, seen=after or record.seen, quality=quality
        )
        return self._keep(read, reading, gates, at)

    def _now(self) -> EndpointState:
        """The endpoint's state, still in this canary; a look that finds another one is over."""
        now = self._tools.store.load(self._ticket.endpoint)
        ours = now.pending is not None and now.pending.rollout == self._ticket.rollout
        if not ours or now.phase is not Phase.CANARY:
            raise superseded(self._ticket)
        return now

    def _keep(
        self, record: Record, reading: Tick | Gap, gates: Gates, at: float
    ) -> tuple[Record, Look]:
        """Make a look durable, then tell it."""
        definition, progress = record.definition, record.progress
        progress = msgspec.structs.replace(progress, looks=progress.looks + 1)
        decision = decide(definition, progress, reading, gates)
        look = Look(
            at=at,
            number=progress.looks,
            verdict=decision.verdict,
            action=decision.action,
            reason=decision.reason,
            log_e=analysis.gate_evidence(definition, progress),
            culprits=decision.culprits,
            step=progress.step,
            reading=events.facts(reading),
            asks=new_id() if decision.action is Action.ASK else "",
            gap=reading.why if isinstance(reading, Gap) else "",
            next_at=None if decision.action in _LAST else at + definition.tick_s,
        )
        if decision.action is Action.ASK:
            progress = msgspec.structs.replace(
                progress, asked=True, answer=answer(gates), doubts=decision.culprits
            )
        kept = msgspec.structs.replace(record, progress=progress, last=look, mark=new_id())
        self._conductor.records.save(kept, synced=decision.action is not Action.HOLD)
        self._conductor.observe(f"kept-{look.action.value}", "")
        # Not told now, it is told at the next turn; what the look decides does not wait for that.
        self._taken_over = self._conductor.tell(
            events.looked(self._tools.workspace.name, kept, look)
        )
        self._conductor.observe(f"told-{look.action.value}", "")
        return kept, look

    def _act(self, record: Record, look: Look) -> None:
        match look.action:
            case Action.ROLL_BACK:
                self._conductor.leave(self._ticket, _wish(look), _why(record, look))
            case Action.PROMOTE:
                self._conductor.promote(self._ticket)
            case Action.ADVANCE:
                self._advance(record)
            case Action.ASK:
                self._conductor.gate(self._ticket, "pause", _wish(look))
            case Action.HOLD:
                return

    def _advance(self, record: Record) -> None:
        """The next step is durable before the share rises, and when that began; see `_catch_up`."""
        step = record.progress.step + 1
        progress, quality = analysis.next_step(record.progress), record.quality
        if quality is not None:
            quality = self._settled(quality).change_begun(microseconds(self._tools.clock.now()))
        kept = msgspec.structs.replace(record, progress=progress, quality=quality)
        self._live_us = None
        self._conductor.records.save(kept, synced=True)
        self._move(record.definition.steps[step])

    def _moved(self, weight: int) -> bool:
        """Whether the gateway has the weight; while it has not, each turn tries again. There are
        looks all the same: they say that it is away, and the horizon goes on."""
        try:
            self._move(weight)
        except Unavailable:
            return False
        return True

    def _move(self, weight: int) -> None:
        self._placed = False
        self._conductor.step(self._ticket, weight)
        self._placed = True
        self._live_us = microseconds(self._tools.clock.now())

    def _settled(self, quality: QualityState) -> QualityState:
        """The weight's last change is over since the gateway has it, if that is known here."""
        return quality if self._live_us is None else quality.change_done(self._live_us)

    def _read(self, now: EndpointState) -> Seen | None:
        """What the gateway has counted; None when it does not answer."""
        try:
            snapshot = self._snapshot()
        except Unavailable:
            return None
        contest = _contest(now)
        names = frozenset({contest.control, contest.candidate})
        return Seen.of(snapshot, self._tools.clock.now().timestamp(), names)

    def _passed(self, record: Record) -> float:
        """Seconds since the last reading. Within one process by the monotonic clock; after a
        restart by the dates, and no more than two ticks, however the clock may have jumped."""
        before, self._looked = self._looked, self._tools.clock.monotonic()
        if before is not None:
            return self._looked - before
        if record.seen is None:
            return 0.0
        passed = self._tools.clock.now().timestamp() - record.seen.at
        return min(max(passed, 0.0), 2 * record.definition.tick_s)

    def _cohorts(
        self, record: Record, now: EndpointState
    ) -> tuple[QualityState | None, Sequence[analysis.Counts]]:
        """The cohorts that have become comparable; none while the ledger is away, and none lost."""
        if all(m.name is not MetricName.WRONG for m in record.definition.metrics):
            return record.quality, ()
        at = microseconds(self._tools.clock.now())
        try:
            if self._outcomes is None:
                self._outcomes = QualityReader(self._tools.log, _quality(record, now))
            state = self._settled(record.quality or begin(self._tools.log, at))
            look = self._outcomes.look(state, at)
        except Unavailable:
            return record.quality, ()
        return look.state, look.counts


_LAST = frozenset({Action.ROLL_BACK, Action.PROMOTE})


def _weight(now: EndpointState) -> int:
    return now.pending.weight if now.pending else 0


def _contest(now: EndpointState) -> Contest:
    assert now.pending is not None
    assert now.live is not None
    control = now.pending.baseline or now.live
    return Contest(control.upstream, now.pending.arm.upstream)


def _quality(record: Record, now: EndpointState) -> QualityRule:
    assert now.pending is not None
    definition, control = record.definition, now.pending.baseline or now.live
    assert control is not None
    role = Role.BASELINE if now.pending.baseline else Role.STABLE
    return QualityRule(
        endpoint=record.endpoint,
        control=Side(control.release, role.value),
        candidate=Side(record.release),
        threshold=definition.score_threshold,
        tolerance=definition.score_tolerance,
        cohorts=CohortRule(
            window_s=definition.tick_s,
            min_coverage=definition.label_coverage,
            patience_s=definition.label_patience_s,
        ),
    )


def _warming(record: Record, progress: Progress) -> bool:
    return progress.judged_s == 0.0 and progress.warm_s < record.definition.warm_up_s


def _changing(record: Record) -> bool:
    """Whether a watch that wrote this may not have come to the end of its step."""
    return record.quality is not None and record.quality.changing


def urgent(gates: Gates) -> bool:
    """Whether a person wants something that does not wait for the next look."""
    return gates.abort is not None or gates.promote is not None


def resumed(progress: Progress, gates: Gates) -> Progress:
    """Once after a person has resumed it: the horizon begins anew, and the doubts of a question
    that is answered so do not pause it again."""
    if answer(gates) == progress.answer:
        return progress
    doubts = progress.doubts if progress.asked else ()
    return msgspec.structs.replace(
        progress,
        asked=False,
        answer=answer(gates),
        acknowledged=progress.acknowledged | frozenset(doubts),
        granted_s=progress.watched_s,
    )


def answer(gates: Gates) -> str:
    """The mark of the latest end of a pause; empty before the first."""
    return gates.resumed.mark if gates.resumed else ""


def _undone(record: Record, look: Look, gates: Gates) -> bool:
    """Whether a look's way back, or its question to a person, is still to be done."""
    if look.action is Action.ASK:
        return gates.paused is None and answer(gates) == record.progress.answer
    return look.action is Action.ROLL_BACK


def _wish(look: Look) -> Wish:
    return Wish(events.ACTOR, look.reason, look.at, look.asks)


def _why(record: Record, look: Look) -> dict[str, object]:
    """What the event of a rollback says besides the reason."""
    progress = record.progress
    return {
        "verdict": look.verdict.value,
        "metrics": [name.value for name in look.culprits],
        "e": events.e_value(look.log_e),
        "since": analysis.since(record.definition, progress, look),
        "exposed": progress.exposed,
        "exposed_errors": progress.exposed_errors,
        "looks": look.number,
        "weight": record.definition.steps[progress.step],
    }


def superseded(ticket: Ticket) -> Conflict:
    """A look finds that its rollout is over."""
    return Conflict(
        "rollout-superseded",
        f"the rollout at {ticket.endpoint} is over",
        context=ticket.rollout,
        hint="`triune rollout status` shows what there is now.",
    )
