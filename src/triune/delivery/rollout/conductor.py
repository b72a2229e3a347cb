"""A rollout, phase by phase: what each does and which comes next.

The endpoint's state says which phase it is; each stage does that phase's work and returns
where the endpoint then stands. A stage may be run again after a crash: what was done already is
found done. The controller drives it, durable (`backends.temporal_workflow`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

import msgspec

from triune.core.errors import Conflict, NotFound, Refused, TriuneError, Unavailable
from triune.core.ids import new_id
from triune.core.rollout_config import Strategy
from triune.delivery.moves import CandidateUnfit, Moves, Observer, Tools, silent
from triune.delivery.release import Release
from triune.delivery.releases import settings
from triune.delivery.rollout import events
from triune.delivery.rollout.model import (
    Definition,
    Gates,
    Progress,
    Record,
    Ticket,
    Wish,
    define,
)
from triune.delivery.rollout.store import RecordStore
from triune.delivery.state import (
    BEFORE_TRAFFIC,
    BESIDE_STABLE,
    Driver,
    EndpointState,
    Phase,
    check_settled,
)
from triune.ledger.envelope import Event

_SETTLING = (
    Phase.SWITCHING,
    Phase.WITHDRAWING,
    Phase.REFUSING,
    Phase.ROLLING_BACK,
    Phase.RETIRING,
)

PAUSED_SECONDS = 2.0
"""How often a rollout that is paused before any traffic is asked whether it goes on."""

NEVER_BEGUN = "never-begun"
"""The outcome of a rollout whose command died before it existed."""

_NO_ROOM = frozenset({"journal-full", "ledger-disk-full"})
_LOST = "its record is lost or broken: nothing is known of its evidence"

PATIENCE_SECONDS = 10.0
"""How long a step waits while the guard looks after the endpoint."""


@dataclass(frozen=True, slots=True)
class Where:
    """Where a rollout stands: its phase, None once it is over; seconds to wait before asking
    again."""

    phase: Phase | None
    wait_s: float = 0.0

    @property
    def over(self) -> bool:
        return self.phase is None


Prior = Callable[[Record], Definition]
"""The definition with what the traffic before the candidate says of its dispersion."""


@dataclass(frozen=True)
class Conductor:
    """The stages of rollouts. Every method may be called again at any time."""

    tools: Tools
    records: RecordStore
    prior: Prior
    observe: Observer = silent

    @property
    def moves(self) -> Moves:
        return Moves(self.tools, self.observe)

    def order(
        self,
        endpoint: str,
        release: Release,
        *,
        actor: str,
        strategy: Strategy | None = None,
        driver: Driver = Driver.CONTROLLER,
        definition: Definition | None = None,
        rollout: str | None = None,
    ) -> Ticket:
        """Begin a rollout: when this returns it exists, and its driver takes it on. Its definition
        is that of ``triune.toml`` and its id a new one, unless they are given.

        Raises
        ------
        Conflict: ``rollout-in-progress``, ``release-already-live``.
        Refused: (``rollout-nothing-to-compare``) a shadow needs a live release beside it.
        """
        if definition is None:
            definition = define(settings(self.tools.workspace, endpoint).rollout, strategy)
        check_free(self.tools.store.load(endpoint))
        with self.tools.store.locked(endpoint, patience=PATIENCE_SECONDS):
            now = self.moves.make_room(self.tools.store.load(endpoint), release, actor)
            if definition.strategy is Strategy.SHADOW and now.live is None:
                raise Refused(
                    "rollout-nothing-to-compare",
                    f"{endpoint} serves nothing that a shadow could be compared with",
                    hint="Release something first: `triune rollout start --strategy blue-green`.",
                )
            self._conclude_latest(endpoint)
            ticket = Ticket(endpoint, rollout or new_id())
            self.records.create(
                Record(
                    rollout=ticket.rollout,
                    endpoint=endpoint,
                    release=release.ref,
                    stable=now.live.release if now.live else None,
                    actor=actor,
                    started=self.tools.clock.now().timestamp(),
                    definition=definition,
                )
            )
            self.observe("recorded", "")
            self.moves.begin(
                now,
                release,
                actor=actor,
                strategy=definition.strategy,
                driver=driver,
                baseline=definition.baseline,
                rollout=ticket.rollout,
            )
        return ticket

    def where(self, ticket: Ticket) -> Where:
        """Where a rollout stands now."""
        now = self.tools.store.load(ticket.endpoint)
        if now.pending is not None:
            return Where(now.pending.phase if now.pending.rollout == ticket.rollout else None)
        kept = now.rollout == ticket.rollout and now.previous is not None
        return Where(Phase.WATCHING if kept else None)

    def unattended(self) -> Mapping[Phase, Callable[[Ticket], Where]]:
        """The stages that end by themselves; the others are watched (`watch`, `shadowing`)."""
        return {
            Phase.STARTING: self.prepare,
            Phase.WARMING: self.warm,
            Phase.SMOKING: self.smoke,
            Phase.WATCHING: self.keep,
            **dict.fromkeys(_SETTLING, self.settle),
        }

    def prepare(self, ticket: Ticket) -> Where:
        """Start the candidate's process, and that of a fresh baseline."""
        return self._before_traffic(ticket, Phase.STARTING, self.moves.prepare)

    def warm(self, ticket: Ticket) -> Where:
        """Send example requests until the candidate is warm."""
        return self._before_traffic(ticket, Phase.WARMING, self.moves.warm)

    def smoke(self, ticket: Ticket) -> Where:
        """Run the smoke tests; then shadow, canary or all traffic, as the strategy says."""

        def tested(now: EndpointState, release: Release) -> EndpointState:
            now, _ = self.moves.smoke(now, release)
            gates = self.records.gates(ticket.endpoint, ticket.rollout)
            if gates.abort is not None:
                return self.moves.refuse(now, _aborted(gates.abort))
            return self._after_smoke(now, self._record(ticket), gates)

        if self._waits(ticket):
            return Where(Phase.SMOKING, PAUSED_SECONDS)
        found = self._before_traffic(ticket, Phase.SMOKING, tested)
        return replace(found, wait_s=PAUSED_SECONDS) if found.phase is Phase.SMOKING else found

    def _waits(self, ticket: Ticket) -> bool:
        """Whether it is paused and all traffic would come after the tests: then it is not tested
        before somebody goes on with it. A canary or shadow waits in its own phase."""
        gates = self.records.gates(ticket.endpoint, ticket.rollout)
        if gates.paused is None or gates.abort is not None:
            return False
        record, live = self._record(ticket), self.tools.store.load(ticket.endpoint).live
        definition = record.definition if record else None
        beside = definition is not None and (
            definition.shadow_pairs > 0 or definition.strategy is Strategy.CANARY
        )
        return live is None or not beside

    def _after_smoke(
        self, now: EndpointState, record: Record | None, gates: Gates
    ) -> EndpointState:
        if now.live is not None and gates.promote is None:
            if record is None:
                return self.moves.refuse(now, {"test": "record", "words": _LOST})
            if record.definition.shadow_pairs > 0:
                return self.moves.shadow(now, record.definition.shadow_share)
            if record.definition.strategy is Strategy.CANARY:
                return self._begin_canary(now, record)
        return now if gates.paused is not None else self.moves.switch(now)

    def _begin_canary(self, now: EndpointState, record: Record) -> EndpointState:
        """Nobody is moved yet: the watch does that, when its first reading is there. A horizon
        that a shadow has used up begins anew."""
        begun = msgspec.structs.replace(record, definition=self.prior(record), progress=Progress())
        self.records.save(begun)
        return self.moves.canary(now, 0)

    def enter_canary(self, ticket: Ticket) -> Where:
        """From the shadow phase to the canary."""
        with self._locked(ticket) as now:
            record = self._record(ticket)
            if now is not None and now.phase is Phase.SHADOWING and record is not None:
                self._begin_canary(now, record)
        return self.where(ticket)

    def mirror(self, ticket: Ticket) -> Where:
        """The gateway mirrors as the state says; done already when it is so."""
        with self._locked(ticket) as now, self._told_later():
            if now is not None and now.pending and now.phase is Phase.SHADOWING:
                self.moves.shadow(now, now.pending.mirror)
        return self.where(ticket)

    def keep(self, ticket: Ticket) -> Where:
        """The rollback window: the guard keeps it and ends it; here it is only waited for."""
        found = self.where(ticket)
        if found.phase is not Phase.WATCHING:
            return found
        aborted = self.records.gates(ticket.endpoint, ticket.rollout).abort
        if aborted is not None:  # it was asked for in the moment of the promotion
            return self._back(ticket, aborted)
        until = self.tools.store.load(ticket.endpoint).rollback_until or 0.0
        left = until - self.tools.clock.now().timestamp()
        return replace(found, wait_s=min(max(left, 1.0), 3600.0))

    def settle(self, ticket: Ticket) -> Where:
        """Finish what needs no decision any more: a switch, a way back, a retirement."""
        with self._locked(ticket) as now:
            if now is not None:
                self.moves.recover(now)
        return self.where(ticket)

    def conclude(self, ticket: Ticket) -> Where:
        """Write down how a rollout has ended, if it is over; done once, however often called.

        A command that begins it holds the lock until it exists, not only its record.
        """
        if not self.where(ticket).over:
            return self.where(ticket)
        with self.tools.store.locked(ticket.endpoint, patience=PATIENCE_SECONDS):
            found, record = self.where(ticket), self._record(ticket)
            if found.over and record is not None:
                self._conclude(record)
        return found

    def _record(self, ticket: Ticket) -> Record | None:
        """The rollout's own record; None when it is lost or broken."""
        record = self.records.find(ticket.endpoint)
        return record if record is not None and record.rollout == ticket.rollout else None

    def _conclude_latest(self, endpoint: str) -> None:
        """Its record makes room for the next rollout's: the stage that waits for the end of its
        window may sleep for long yet."""
        record = self.records.find(endpoint)
        if record is not None:
            self._conclude(record)

    def _conclude(self, record: Record) -> None:
        if not record.outcome:
            last = self.tools.store.load(record.endpoint).last
            ours = last is not None and last.rollout == record.rollout
            outcome = last.outcome.value if last and ours else NEVER_BEGUN
            record = msgspec.structs.replace(record, outcome=outcome, mark=new_id())
            self.records.save(record, synced=True)
            self.observe("concluded", "")
        self.tell(events.finished(self.tools.workspace.name, record))

    def tell(self, event: Event) -> bool:
        """Hand an event to the ledger; false when even its journal does not take it, e.g. on a full
        disk. What takes users off a candidate never waits for that."""
        try:
            self.tools.log.append(event)
        except Unavailable as full:
            self.observe("untold", f"{event.kind}: {full.message}")
            return False
        return True

    @contextmanager
    def _told_later(self) -> Iterator[None]:
        """A move acts before it tells: what the journal does not take is told when the move is
        done again, by the next watch or by `settle`."""
        try:
            yield
        except Unavailable as full:
            if full.reference not in _NO_ROOM:
                raise
            self.observe("untold", full.message)

    def gate(self, ticket: Ticket, name: str, wish: Wish) -> None:
        """What a person asks of a rollout: ``pause``, ``resume``, ``promote`` or ``abort``.

        It is durable when this returns, and needs neither the controller nor Temporal; the watch
        sees it at once. See `abort` for the one that acts here and now.

        Raises
        ------
        Conflict: (``rollout-over``) the rollout needs no gates any more.
        NotFound: (``gate-unknown``).
        """
        if name not in _GATES:
            known = ", ".join(_GATES)
            raise NotFound("gate-unknown", f"there is no gate {name!r}", hint=f"Known: {known}.")
        phase = self.where(ticket).phase
        if phase not in BEFORE_TRAFFIC | BESIDE_STABLE:
            raise _over(ticket, f"past what could be {name}d")
        with self.records.changing_gates(ticket.endpoint):
            gates = self.records.gates(ticket.endpoint, ticket.rollout)
            wish = _marked(wish, getattr(gates, _GATES[name]))
            ends = {} if name in ("pause", "abort") else {"paused": None}
            changed = msgspec.structs.replace(gates, **ends, **{_GATES[name]: wish})
            self.records.save_gates(ticket.endpoint, changed)
        self.observe("gate-saved", "")
        self.tell(
            events.gated(self.tools.workspace.name, ticket.endpoint, ticket.rollout, name, wish)
        )

    def abort(self, ticket: Ticket, wish: Wish) -> Where:
        """Take every user off the candidate, now, from any phase, whoever else is alive.

        Before traffic the stage that is at work stops at its next step; where none is at work,
        or the candidate has traffic, it is stopped here. A switch that has not ended is undone;
        after it, it goes back to the previous release.

        Raises
        ------
        Conflict: (``rollout-over``) there is nothing to go back from.
        Unavailable: the gate could not be written, e.g. on a full disk; all else was done.
        """
        if self.where(ticket).over:
            raise _over(ticket, "over: there is nothing to go back from")
        unwritten: Unavailable | None = None
        try:
            with _unless("rollout-over"):
                self.gate(ticket, "abort", wish)
        except Unavailable as error:
            unwritten = error
        with _unless("rollout-in-progress"):
            self.leave(ticket, wish)
        found = self.where(ticket)
        if not found.over and found.phase not in BEFORE_TRAFFIC | BESIDE_STABLE:
            found = self._back(ticket, wish)
        elif unwritten is not None and not found.over:
            raise unwritten  # else a stage that is still at work stops itself: the gate stands
        return found

    def _back(self, ticket: Ticket, wish: Wish) -> Where:
        """From the switch on: one that has not ended is undone; else what is under way is finished,
        then traffic goes back."""
        with self._locked(ticket) as now, self._told_later():
            if now is not None and now.phase is Phase.SWITCHING and now.live is not None:
                self.moves.withdraw(now, {"reason": wish.reason}, wish.actor)
            elif now is not None:
                settled = self.moves.recover(now)
                if settled.rollout == ticket.rollout and settled.previous is not None:
                    self.moves.roll_back(settled, {"reason": wish.reason}, wish.actor)
        return self.where(ticket)

    def lost(self, ticket: Ticket) -> Where:
        """Nothing is known any more of what a candidate has shown: users do not stay with it."""
        at = self.tools.clock.now().timestamp()
        return self.leave(ticket, Wish(events.ACTOR, _LOST, at))

    def leave(
        self, ticket: Ticket, wish: Wish, evidence: Mapping[str, object] | None = None
    ) -> Where:
        """Stop a candidate: withdrawn from its users, or refused before it had any."""
        why = {"reason": wish.reason, **(evidence or {})}
        with self._locked(ticket) as now, self._told_later():
            if now is not None and now.phase in BESIDE_STABLE:
                self.moves.withdraw(now, why, wish.actor)
            elif now is not None and now.phase in BEFORE_TRAFFIC:
                self.moves.refuse(now, _aborted(wish))
        return self.where(ticket)

    def promote(self, ticket: Ticket) -> Where:
        """All traffic moves to the candidate, unless somebody has aborted it meanwhile."""
        with self._locked(ticket) as now:
            if now is not None and now.phase in BESIDE_STABLE and not self._given_up(ticket):
                self.moves.switch(now)
        return self.where(ticket)

    def _given_up(self, ticket: Ticket) -> bool:
        return self.records.gates(ticket.endpoint, ticket.rollout).abort is not None

    def step(self, ticket: Ticket, weight: int) -> Where:
        """``weight`` of 10,000 units reach the candidate; done already when it is so, and not done
        when somebody has aborted it meanwhile."""
        with self._locked(ticket) as now, self._told_later():
            if now is not None and now.phase is Phase.CANARY and not self._given_up(ticket):
                self.moves.canary(now, weight)
        return self.where(ticket)

    def _before_traffic(
        self,
        ticket: Ticket,
        phase: Phase,
        work: Callable[[EndpointState, Release], EndpointState],
    ) -> Where:
        """One stage of a candidate that no user sees: what is wrong with it refuses it."""
        with self._locked(ticket) as now:
            if now is None or now.phase is not phase:
                return self.where(ticket)
            aborted = self.records.gates(ticket.endpoint, ticket.rollout).abort
            if aborted is not None:
                self.moves.refuse(now, _aborted(aborted))
                return self.where(ticket)
            try:
                work(now, self.tools.releases.get(_release(now)))
            except CandidateUnfit as unfit:
                self.moves.refuse(now, unfit.why)
            except TriuneError as error:
                if isinstance(error, Unavailable | Conflict):
                    raise
                self.moves.refuse(now, {"test": error.reference, "words": error.message})
        return self.where(ticket)

    @contextmanager
    def _locked(self, ticket: Ticket) -> Iterator[EndpointState | None]:
        """The endpoint's state, ours to change; None when its change is another rollout's."""
        with self.tools.store.locked(ticket.endpoint, patience=PATIENCE_SECONDS):
            now = self.tools.store.load(ticket.endpoint)
            rollout = now.pending.rollout if now.pending else now.rollout
            yield now if rollout == ticket.rollout else None


_GATES = {"pause": "paused", "resume": "resumed", "promote": "promote", "abort": "abort"}
"""The gates by name: where each keeps the wish."""


def _marked(wish: Wish, before: Wish | None) -> Wish:
    """A wish that is told again keeps its mark, so that it is recorded once."""
    if wish.mark:
        return wish
    if before is not None and msgspec.structs.replace(before, mark="") == wish:
        return before
    return msgspec.structs.replace(wish, mark=new_id())


def _aborted(wish: Wish) -> Mapping[str, str]:
    return {"test": "aborted", "words": wish.reason, "by": wish.actor}


@contextmanager
def _unless(reference: str) -> Iterator[None]:
    """A conflict of this reference is no error here."""
    try:
        yield
    except Conflict as conflict:
        if conflict.reference != reference:
            raise


def _over(ticket: Ticket, what: str) -> Conflict:
    return Conflict(
        "rollout-over",
        f"the rollout of {ticket.endpoint} is {what}",
        hint="`triune rollout status` shows where it stands; `rollback` goes back.",
    )


def check_free(now: EndpointState) -> None:
    """No candidate is on its way: what is only being stopped is waited for."""
    if now.phase in BEFORE_TRAFFIC | BESIDE_STABLE:
        check_settled(now)


def _release(now: EndpointState) -> str:
    assert now.pending is not None
    return now.pending.arm.release
