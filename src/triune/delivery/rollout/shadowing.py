"""The shadow's watch: compare a candidate's answers with the live ones before any user sees one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from triune.core.errors import Conflict, Unavailable
from triune.core.ids import new_id
from triune.core.rollout_config import Strategy
from triune.delivery.rollout import events
from triune.delivery.rollout.comparing import Rule
from triune.delivery.rollout.conductor import Conductor, Where
from triune.delivery.rollout.model import Definition, Gates, Record, Ticket, Wish
from triune.delivery.rollout.shadow import ShadowState, ShadowWatch
from triune.delivery.rollout.shadow_gate import Judgement, Limits, judge
from triune.delivery.rollout.verdict import Verdict
from triune.delivery.rollout.watch import Stamps, answer, resumed, superseded, urgent
from triune.delivery.state import Arm, EndpointState, Outcome, Phase
from triune.ledger.envelope import microseconds

SamplesOf = Callable[[Arm], Path]
"""The file to which an arm's model server writes its answers to marked requests."""


class Shadowing:
    """Looks at one rollout in phase `SHADOWING`. Only its holder of the watch lock may use it."""

    def __init__(self, conductor: Conductor, samples: SamplesOf, ticket: Ticket) -> None:
        self._conductor = conductor
        self._tools = conductor.tools
        self._samples = samples
        self._ticket = ticket
        self._stamps = Stamps(conductor, ticket.endpoint)
        self._watch: ShadowWatch | None = None
        self._looked: float | None = None
        self._taken_over = False

    def changed(self) -> bool:
        """Whether the endpoint or its gates are other than at the last turn."""
        return self._stamps.changed()

    def turn(self) -> Where:
        """Compare what has come since the last turn, when a look is due; act on the verdict."""
        where = self._conductor.where(self._ticket)
        if where.phase is not Phase.SHADOWING:
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
        self._take_over(record)
        if self._due(record) > 0.0 and not urgent(gates):
            return Where(Phase.SHADOWING, self._due(record))
        before, self._looked = self._looked, self._tools.clock.monotonic()
        passed = 0.0 if before is None else self._looked - before
        progress = resumed(record.progress, gates)
        progress = msgspec.structs.replace(progress, watched_s=progress.watched_s + passed)
        record, judgement = self._look(msgspec.structs.replace(record, progress=progress))
        self._act(record, judgement, gates)
        found = self._conductor.where(self._ticket)
        return found if found.over else Where(found.phase, record.definition.tick_s)

    def _take_over(self, record: Record) -> None:
        """Once: mirror and tell again what a watch that died may have left; see `Watch`."""
        if self._taken_over:
            return
        self._conductor.mirror(self._ticket)
        if record.shadow is not None:
            self._tell(record, judge(record.shadow.total, _limits(record.definition)))
        self._taken_over = True

    def _due(self, record: Record) -> float:
        if self._looked is None:
            return 0.0
        return max(0.0, self._looked + record.definition.tick_s - self._tools.clock.monotonic())

    def _look(self, record: Record) -> tuple[Record, Judgement]:
        now = self._tools.store.load(self._ticket.endpoint)
        if now.phase is not Phase.SHADOWING:
            raise superseded(self._ticket)
        if self._watch is None:
            self._watch = self._open(now, record.definition)
        before = record.shadow or ShadowState.begin(microseconds(self._tools.clock.now()))
        try:
            tick, after = self._watch.look(before)
        except Unavailable:
            self._conductor.records.save(record)
            return record, Judgement(Verdict.NOT_YET, "the answers cannot be read")
        judgement = judge(after.total, _limits(record.definition))
        kept = msgspec.structs.replace(
            record, shadow=after, compared=(tick.pairs, tick.failures), mark=new_id()
        )
        self._conductor.records.save(kept)
        self._conductor.observe("kept-comparison", "")
        self._tell(kept, judgement)
        self._conductor.observe("told-comparison", "")
        return kept, judgement

    def _tell(self, record: Record, judgement: Judgement) -> None:
        self._conductor.tell(events.compared(self._tools.workspace.name, record, judgement))

    def _open(self, now: EndpointState, definition: Definition) -> ShadowWatch:
        assert now.pending is not None
        assert now.live is not None
        rule = Rule(threshold=definition.score_threshold, tolerance=definition.score_tolerance)
        live, shadow = self._samples(now.live), self._samples(now.pending.arm)
        return ShadowWatch(live, shadow, rule, self._tools.clock)

    def _act(self, record: Record, judgement: Judgement, gates: Gates) -> None:
        definition = record.definition
        if gates.abort is not None:
            self._conductor.leave(self._ticket, gates.abort)
        elif gates.promote is not None:
            self._conductor.promote(self._ticket)
        elif definition.strategy is Strategy.SHADOW and judgement.verdict is not Verdict.NOT_YET:
            self._leave(judgement, {"outcome": Outcome.COMPARED.value})
        elif judgement.verdict is Verdict.FAIL:
            self._leave(judgement, {})
        elif judgement.verdict is Verdict.PASS and gates.paused is None:
            self._on(record)
        elif gates.paused is None and _overdue(record):
            self._ask(record, gates)

    def _ask(self, record: Record, gates: Gates) -> None:
        """The horizon is over without a verdict, e.g. for want of traffic: a person decides."""
        asked = msgspec.structs.replace(record.progress, asked=True, answer=answer(gates))
        self._conductor.records.save(msgspec.structs.replace(record, progress=asked), synced=True)
        at, horizon = self._tools.clock.now().timestamp(), record.definition.horizon_s
        words = f"{horizon:.0f} s are over without a verdict; a person decides"
        self._conductor.gate(self._ticket, "pause", Wish(events.ACTOR, words, at))

    def _on(self, record: Record) -> None:
        if record.definition.strategy is Strategy.CANARY:
            self._conductor.enter_canary(self._ticket)
        else:
            self._conductor.promote(self._ticket)

    def _leave(self, judgement: Judgement, evidence: dict[str, object]) -> None:
        at = self._tools.clock.now().timestamp()
        wish = Wish(events.ACTOR, judgement.words, at)
        told = {"verdict": judgement.verdict.value, "exposed": 0, **evidence}
        self._conductor.leave(self._ticket, wish, told)


def _overdue(record: Record) -> bool:
    progress = record.progress
    return progress.watched_s - progress.granted_s >= record.definition.horizon_s


def _limits(definition: Definition) -> Limits:
    return Limits(
        pairs=definition.shadow_pairs,
        disagreement=definition.shadow_disagreement,
        failures=definition.shadow_failures,
        alpha=definition.alpha,
    )
