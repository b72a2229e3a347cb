"""Rollouts as others use them: plan, start, follow, steer, look at, explain."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from triune.core.errors import NotFound
from triune.core.ids import time_of
from triune.core.rollout_config import Strategy
from triune.delivery.accesslog import SERVED
from triune.delivery.releases import settings
from triune.delivery.rollout import events
from triune.delivery.rollout.conductor import Conductor
from triune.delivery.rollout.explain import explain
from triune.delivery.rollout.model import Definition, Record, Ticket, Wish, define
from triune.delivery.rollout.view import RolloutView, view
from triune.delivery.state import Ending, EndpointState, Role
from triune.ledger.envelope import Event, person
from triune.ledger.ports import Query

if TYPE_CHECKING:
    from triune.delivery.rollout.planning import RolloutPlan

FOLLOW_SECONDS = 0.05
_AFTER_SECONDS = 60.0
"""How long after the last look of a rollout an answer of its candidate may still go out."""
_LEAST_ERROR_RATE = 0.01

OnView = Callable[[RolloutView], None]


@dataclass(frozen=True)
class Rollouts:
    """The use cases of rollouts of one workspace."""

    conductor: Conductor

    def start(
        self,
        endpoint: str,
        ref: str,
        *,
        strategy: Strategy | None = None,
        actor: str | None = None,
    ) -> Ticket:
        """Begin a rollout; the controller takes it on. See `Conductor.order` for what it raises.

        Raises
        ------
        Refused: (``release-other-endpoint``).
        """
        release = self.conductor.tools.releases.for_endpoint(endpoint, ref)
        return self.conductor.order(endpoint, release, actor=actor or person(), strategy=strategy)

    def keep(
        self,
        endpoint: str,
        ref: str,
        weight: int,
        *,
        rollout: str,
        horizon_s: float,
        actor: str | None = None,
    ) -> Ticket:
        """Bring a release to ``weight`` of 10,000 units and keep it there, as an arm of an A/B
        test: until somebody promotes or aborts the rollout, or harm rolls it back. ``horizon_s``
        is how long that is expected to take. Raises what `start` raises.
        """
        release = self.conductor.tools.releases.for_endpoint(endpoint, ref)
        definition = msgspec.structs.replace(
            self.definition(endpoint, Strategy.CANARY),
            steps=(weight,),
            horizon_s=horizon_s,
            baseline=False,
            kept=True,
        )
        return self.conductor.order(
            endpoint,
            release,
            actor=actor or person(),
            definition=definition,
            rollout=rollout,
        )

    def follow(self, ticket: Ticket, on_view: OnView, *, until_served: bool = True) -> RolloutView:
        """Look at a rollout again and again until users are wholly on one release.

        Without ``until_served`` this also waits for the rollback window to end.
        """
        while True:
            seen = self.view(ticket.endpoint, ticket.rollout)
            on_view(seen)
            if seen.over and (until_served or self.conductor.where(ticket).over):
                return seen
            time.sleep(FOLLOW_SECONDS)

    def pause(self, endpoint: str, reason: str, *, actor: str | None = None) -> None:
        """Hold the candidate's share; looks go on, and harm still rolls back."""
        self.conductor.gate(self._current(endpoint), "pause", self._wish(reason, actor))

    def resume(self, endpoint: str, reason: str, *, actor: str | None = None) -> None:
        """Go on after a pause, whoever paused it."""
        self.conductor.gate(self._current(endpoint), "resume", self._wish(reason, actor))

    def promote(self, endpoint: str, reason: str, *, actor: str | None = None) -> None:
        """Give the candidate all traffic without waiting for more evidence."""
        self.conductor.gate(self._current(endpoint), "promote", self._wish(reason, actor))

    def abort(self, endpoint: str, reason: str, *, actor: str | None = None) -> RolloutView:
        """Return every user to the stable release, now. Legal in every phase."""
        ticket = self._current(endpoint)
        self.conductor.abort(ticket, self._wish(reason, actor))
        return self.view(endpoint, ticket.rollout)

    def view(self, endpoint: str, rollout: str | None = None) -> RolloutView:
        """The endpoint's latest rollout as it stands.

        Raises
        ------
        NotFound: (``rollout-none``) there was none, or another one has come since.
        """
        now = self.conductor.tools.store.load(endpoint)
        record = self._record(now)
        if rollout is not None and record.rollout != rollout:
            raise _none(endpoint)
        return view(record, now, self.conductor.records.gates(endpoint, record.rollout))

    def looks(self, view: RolloutView) -> Iterator[Event]:
        """Every look of a rollout, in order: events ``rollout.looked``."""
        query = Query(kind=events.LOOKED, subject=view.release)
        for stored in self.conductor.tools.log.select(query):
            if stored.event.payload["rollout"] == view.rollout:
                yield stored.event

    def explain(self, endpoint: str) -> list[str]:
        """What happened or stands, in sentences."""
        seen = self.view(endpoint)
        return explain(seen, self.users(seen))

    def users(self, view: RolloutView) -> int:
        """Distinct units that got an answer of the candidate before all users did."""
        until = None if not view.over or view.looked_at is None else view.looked_at + _AFTER_SECONDS
        query = Query(
            kind=SERVED,
            since=round(view.started * 1e6),
            until=None if until is None else round(until * 1e6),
        )
        units = {
            stored.event.payload.get("unit")
            for stored in self.conductor.tools.log.select(query)
            if stored.event.payload.get("release") == view.release
            and stored.event.payload.get("arm") == Role.CANDIDATE.value
        }
        return len(units - {None, ""})

    def plan(
        self,
        endpoint: str,
        *,
        strategy: Strategy | None = None,
        from_rate: float | None = None,
        to_rate: float | None = None,
    ) -> RolloutPlan:
        """What a rollout would take and see at the endpoint's present traffic.

        The regression is from ``from_rate`` (the present error rate, at least 1 %) to ``to_rate``
        (twice that).
        """
        from triune.delivery.rollout import history, planning

        tools = self.conductor.tools
        now = tools.clock.now().timestamp()
        seen = history.answers(tools.log, endpoint, now=now)
        traffic = history.traffic(seen, now=now)
        definition = define(settings(tools.workspace, endpoint).rollout, strategy)
        tempered = history.prior(definition, seen)
        p0 = from_rate if from_rate is not None else max(traffic.error_rate, _LEAST_ERROR_RATE)
        p1 = to_rate if to_rate is not None else min(planning.DOUBLED * p0, 1.0)
        return planning.plan(endpoint, tempered, traffic, p0, p1)

    def definition(self, endpoint: str, strategy: Strategy | None = None) -> Definition:
        """How a rollout of this endpoint would go."""
        return define(settings(self.conductor.tools.workspace, endpoint).rollout, strategy)

    def _record(self, now: EndpointState) -> Record:
        """The record of the latest rollout. One that is lost or broken is made up from the state:
        what it has seen is gone, that it is under way is not."""
        record, pending = self.conductor.records.find(now.endpoint), now.pending
        if record is not None and (pending is None or pending.rollout == record.rollout):
            return record
        if pending is not None:
            return Record(
                rollout=pending.rollout,
                endpoint=now.endpoint,
                release=pending.arm.release,
                stable=now.live.release if now.live else None,
                actor=pending.actor,
                started=time_of(pending.rollout).timestamp(),
                definition=define(None, pending.strategy),
            )
        if now.last is not None:
            return _ended(now, now.last)
        settings(self.conductor.tools.workspace, now.endpoint)
        raise _none(now.endpoint)

    def _current(self, endpoint: str) -> Ticket:
        """The rollout that a person means: the one under way, else the latest."""
        record = self._record(self.conductor.tools.store.load(endpoint))
        return Ticket(endpoint, record.rollout)

    def _wish(self, reason: str, actor: str | None) -> Wish:
        at = self.conductor.tools.clock.now().timestamp()
        return Wish(actor or person(), reason, at)


def _ended(now: EndpointState, last: Ending) -> Record:
    """What the state still says of a rollout that is over and whose record is lost."""
    stable = now.previous or now.live
    return Record(
        rollout=last.rollout,
        endpoint=now.endpoint,
        release=last.release,
        stable=stable.release if stable and stable.release != last.release else None,
        actor=events.ACTOR,
        started=time_of(last.rollout).timestamp(),
        definition=define(None),
        outcome=last.outcome.value,
    )


def _none(endpoint: str) -> NotFound:
    return NotFound(
        "rollout-none",
        f"{endpoint} has no such rollout",
        hint="`triune rollout start` begins one; `triune events --kind 'rollout.*'` lists all.",
    )
