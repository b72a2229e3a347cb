"""What becomes of plans: approved, rejected, withdrawn, carried out when their time comes.

Carrying out is one transaction: the plan is settled and the flag changed, or neither. Of several
who try at the same moment, on one machine or on two, one does it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from triune.core.clock import Clock, SystemClock
from triune.core.errors import ConfigError, Conflict, NotFound, Refused, TriuneError
from triune.core.mistakes import closest
from triune.delivery.flags import changes, edits, plans
from triune.delivery.flags.changes import Change
from triune.delivery.flags.plans import Outcome, Plan, Plans
from triune.delivery.flags.service import Flags, FlagSet, kept
from triune.delivery.ports import Log
from triune.ledger.envelope import Event, person
from triune.ledger.ports import Query

SERVICE = "service:guard"
ATTEMPTS = 10


class Planning:
    """The plans of one workspace's flags."""

    def __init__(self, log: Log, flags: Flags, workspace: str, clock: Clock | None = None) -> None:
        self._log = log
        self._flags = flags
        self._workspace = workspace
        self._clock = clock or SystemClock()
        self._known = Plans()

    def all(self) -> list[Plan]:
        """Every plan there ever was, in the order in which they were made, with the approvals
        that it needs by now."""
        return list(self._read(self._flags.current()).by_id.values())

    def waiting(self) -> list[Plan]:
        """Those that somebody's approval is missing of."""
        return [plan for plan in self.all() if plan.waits]

    def scheduled(self) -> list[Plan]:
        """Those that wait for their time, the next one first."""
        found = [plan for plan in self.all() if plan.outcome is None and plan.due is not None]
        return sorted(found, key=_turn)

    def approve(self, name: str, *, actor: str | None = None) -> Change | Plan:
        """Approve a plan. The last approval that was missing carries it out, at once or when its
        time comes; what was done then, or the plan.

        Raises
        ------
        NotFound: ``plan-unknown``.
        Refused: ``approval-own`` (whoever asks for a change does not approve it),
            ``approval-twice``, ``approval-needless``, ``approval-late`` (its time has passed).
        Conflict: ``plan-settled``; ``proposal-outdated``, with what changed since.
        """
        actor = actor or person()
        for _ in range(ATTEMPTS):
            now = self._flags.current()
            plan = self._open(now, name)
            self._check_approver(plan, actor)
            self._check_current(plan, now)
            events = [plans.approved(plan, actor, self._clock.now(), self._workspace)]
            approved = plans.stepped(plan, events[0])
            if not approved.waits and plan.due is None:
                events += self._effect(approved, now, Outcome.DONE, "", actor)
            if kept(self._log, events):
                return self._result(name, plan.key)
        raise _busy(name)

    def reject(self, name: str, reason: str, *, actor: str | None = None) -> Plan:
        """Turn a plan down, also one's own. Raises what `withdraw` raises."""
        return self._settle(name, Outcome.REJECTED, reason, actor or person())

    def withdraw(self, name: str, reason: str, *, actor: str | None = None) -> Plan:
        """Take a plan back before its time.

        Raises
        ------
        NotFound: ``plan-unknown``.
        Refused: ``reason-missing``.
        Conflict: ``plan-settled``.
        """
        return self._settle(name, Outcome.WITHDRAWN, reason, actor or person())

    def carry_out(self) -> list[Plan]:
        """Do what is due, in the order of its times; each plan once, whoever else tries. What was
        settled by this call."""
        done = []
        for name in [plan.id for plan in self._due()]:
            now = self._flags.current()
            plan = self._read(now).by_id[name]
            if plan.outcome is None and self._keep_effect(plan, now):
                done.append(self._read(now).by_id[name])
        return done

    def _due(self) -> list[Plan]:
        at = self._clock.now()
        known = self._read(None).by_id.values()
        found = [p for p in known if p.outcome is None and p.due is not None and p.due <= at]
        return sorted(found, key=_turn)

    def _keep_effect(self, plan: Plan, now: FlagSet) -> bool:
        outcome, words = self._judged(plan, now)
        return kept(self._log, self._effect(plan, now, outcome, words, SERVICE))

    def _judged(self, plan: Plan, now: FlagSet) -> tuple[Outcome, str]:
        """Whether a plan whose time has come is carried out, and what is said of it."""
        if plan.waits:
            words = f"approval-missing: {len(plan.approvals)} of {plan.needs} approved in time"
            return Outcome.REFUSED, words
        reason = plans.outdated(plan, now.state(plan.key), self._since(plan))
        if reason:
            return Outcome.REFUSED, f"schedule-overtaken: {reason}"
        try:
            wanted = edits.applied(plan.edit, plan.key, now.state(plan.key))
            edits.check(wanted.flag, plan.action)
        except ConfigError as error:
            told = "; ".join(f"{one.key}: {one.what}" for one in error.problems)
            return Outcome.REFUSED, f"{error.reference}: {told}"
        except TriuneError as error:
            return Outcome.REFUSED, f"{error.reference}: {error.message}"
        if wanted == now.state(plan.key):
            return Outcome.NOTHING, "it was so already"
        assert plan.due is not None
        return Outcome.DONE, lateness(self._clock.now() - plan.due)

    def _effect(
        self, plan: Plan, now: FlagSet, outcome: Outcome, words: str, actor: str
    ) -> list[Event]:
        at, key = self._clock.now(), plan.key
        space = self._workspace
        events = [plans.settled(plan, outcome, words, actor=actor, at=at, workspace=space)]
        if outcome is Outcome.DONE:
            before = now.state(key)
            after, number = edits.applied(plan.edit, key, before), now.numbers.get(key, 0) + 1
            events.append(
                changes.told(key, number, before, after, why=plan.why, workspace=space, at=at)
            )
        return events

    def _settle(self, name: str, outcome: Outcome, reason: str, actor: str) -> Plan:
        if not reason.strip():
            raise Refused(
                "reason-missing",
                "settling a plan needs a reason",
                context=name,
                hint="Say why in a few words: `--reason`.",
            )
        for _ in range(ATTEMPTS):
            plan = self._open(self._flags.current(), name)
            at, space = self._clock.now(), self._workspace
            told = plans.settled(plan, outcome, reason, actor=actor, at=at, workspace=space)
            if kept(self._log, [told]):
                return plans.stepped(plan, told)
        raise _busy(name)

    def _result(self, name: str, key: str) -> Change | Plan:
        plan = self._read(self._flags.current()).by_id[name]
        for change in self._flags.history(key) if plan.outcome is Outcome.DONE else ():
            if change.carried is not None and change.carried.plan == name:
                return change
        return plan

    def _read(self, now: FlagSet | None) -> Plans:
        """The plans as they are; what was read once is not read again."""
        query = Query(kind=plans.ALL, after=self._known.sequence)
        self._known = known = self._known.after(self._log.select(query))
        if now is None:
            return known
        under = {name: one.under(now.state(one.key)) for name, one in known.by_id.items()}
        return Plans(under, known.sequence)

    def _open(self, now: FlagSet, name: str) -> Plan:
        known = self._read(now).by_id
        if name not in known:
            raise NotFound(
                "plan-unknown",
                f"there is no plan {name!r}",
                hint=closest(name, known) if known else "No change waits, and none ever did.",
            )
        plan = known[name]
        if plan.outcome is not None:
            raise Conflict(
                "plan-settled",
                f"{name} is {plan.outcome.value} by {plan.settled_by}",
                context=plan.words or None,
                hint="Ask for the change again, if it is still wanted.",
            )
        return plan

    def _check_approver(self, plan: Plan, actor: str) -> None:
        if not plan.needs or not plan.waits:
            raise Refused(
                "approval-needless",
                f"{plan.id} needs no approval more",
                hint="`triune flags proposals` lists what does.",
            )
        if actor == plan.actor:
            raise Refused(
                "approval-own",
                f"{actor} asked for {plan.id}",
                hint="Somebody else approves it; to take it back: `triune flags reject`.",
            )
        if actor in {one.actor for one in plan.approvals}:
            raise Refused(
                "approval-twice",
                f"{actor} approved {plan.id} already",
                hint=f"It takes {plan.needs} different people.",
            )
        if plan.due is not None and plan.due <= self._clock.now():
            raise Refused(
                "approval-late",
                f"the time of {plan.id} has passed: {plan.due.isoformat()}",
                hint="Ask for the change again, now or for a later time.",
            )

    def _check_current(self, plan: Plan, now: FlagSet) -> None:
        reason = plans.outdated(plan, now.state(plan.key), self._since(plan))
        if reason:
            raise Conflict(
                "proposal-outdated",
                f"flag {plan.key!r} has changed since {plan.id}: {reason}",
                context=f"by {plan.actor}: {plan.reason}",
                hint=f"`triune flags reject {plan.id} --reason outdated`, and ask again.",
            )

    def _since(self, plan: Plan) -> Sequence[Change]:
        query = Query(kind=changes.CHANGED, subject=changes.subject(plan.key), after=plan.sequence)
        return [changes.of_event(stored) for stored in self._log.select(query)]


def lateness(by: timedelta) -> str:
    """How late something was, in words; empty for in time."""
    if by < changes.LATE:
        return ""
    minutes = round(by.total_seconds() / 60)
    days, rest = divmod(minutes, 1440)
    parts = ((days, "d"), (rest // 60, "h"), (rest % 60, "min"))
    return f"{' '.join(f'{count} {unit}' for count, unit in parts if count)} late"


def _turn(plan: Plan) -> tuple[datetime, int]:
    assert plan.due is not None
    return plan.due, plan.sequence


def _busy(name: str) -> Conflict:
    return Conflict(
        "plan-busy",
        f"others change the flag of {name} all the time",
        hint="Try again.",
    )
