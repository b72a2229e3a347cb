"""Tests in the ledger: what is started, stopped or decided is one transaction with its flag."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from triune.core.errors import Conflict, Refused
from triune.delivery.abtest import rules, runs
from triune.delivery.abtest.model import Declaration
from triune.delivery.abtest.ports import Log
from triune.delivery.abtest.runs import Run, Runs
from triune.delivery.flags import changes
from triune.delivery.flags.changes import Why
from triune.delivery.flags.model import Flag
from triune.delivery.flags.service import Flags, FlagSet
from triune.ledger.envelope import Event
from triune.ledger.ports import Query

ATTEMPTS = 5
"""How often a change is tried again that somebody else came before."""

NOBODY = ""
"""The winner of a test that nobody won: everything stays as it was before."""


@dataclass(frozen=True)
class Register:
    """The tests of a workspace, as the ledger has them."""

    log: Log
    workspace: str
    flags: Flags

    def runs(self) -> Runs:
        """All tests that ever ran."""
        return runs.fold(self.log.select(Query(kind=runs.KIND)))

    def using(self, flag: str) -> str | None:
        """The test that a flag is in, in words."""
        found = [run for run in self.runs().running if run.declaration.flag == flag]
        return f"the A/B test {found[0].name!r}" if found else None

    def start(self, declaration: Declaration, payload: Mapping[str, Any], actor: str) -> Run:
        """Record the beginning of a test, its rule in its flag.

        Raises
        ------
        Conflict: see `runs.check_free`; ``tests-changed-meanwhile``.
        """

        def events(known: Runs) -> list[Event]:
            runs.check_free(declaration, known)
            begun = self._told(runs.STARTED, declaration.name, known, payload, actor)
            return [begun, *self._split(declaration, begun.id, str(payload["reason"]), actor)]

        made = self._keep(events)
        run = self.runs().find(declaration.name)
        if run.id != made[0].id:
            raise meanwhile(declaration.name)
        return run

    def end(self, name: str, kind: str, payload: Mapping[str, Any], winner: str, actor: str) -> Run:
        """Record that a test was stopped or decided, its rule taken out of its flag, which gets the
        winner for its default.

        Raises
        ------
        NotFound: (``test-unknown``).
        Conflict: ``test-over``, ``tests-changed-meanwhile``.
        """
        reason = str(payload["reason"])

        def events(known: Runs) -> list[Event]:
            run = known.find(name)
            done = run.stage is runs.Stage.DECIDED
            if done or (kind == runs.STOPPED and not run.running):
                raise Conflict(
                    "test-over",
                    f"the test {name!r} is {run.stage.value} already",
                    context=f"by {run.ended_by}: {run.why}",
                    hint="`triune ab history` shows it.",
                )
            said = {"run": run.id, **payload}
            ended = self._told(kind, name, known, said, actor, cause=run.id)
            return [ended, *self._settled(run, winner, reason, actor)]

        self._keep(events)
        return self.runs().find(name)

    def _keep(self, make: Callable[[Runs], list[Event]]) -> list[Event]:
        """Record what ``make`` says of the tests as they are; again when somebody came before."""
        for _ in range(ATTEMPTS):
            made = make(self.runs())
            try:
                self.log.record(made, all_new=True)
            except Conflict:
                if self.log.get(made[0].id) == made[0]:
                    return made  # an attempt of ours whose answer was lost
                continue
            return made
        raise meanwhile(made[0].subject)

    def _told(
        self,
        kind: str,
        name: str,
        known: Runs,
        payload: Mapping[str, Any],
        actor: str,
        *,
        cause: str = "",
    ) -> Event:
        return runs.told(
            kind,
            name,
            known.number + 1,
            payload,
            workspace=self.workspace,
            actor=actor,
            cause=cause,
        )

    def _split(self, declaration: Declaration, run: str, reason: str, actor: str) -> list[Event]:
        """The flag with the test's rule.

        Raises `Refused` (``test-flag-protected``): nobody has approved the change.
        """
        if declaration.flag is None:
            return []
        now = self.flags.current()
        before = now.find(declaration.flag)
        if now.state(before.key).approvals:
            raise Refused(
                "test-flag-protected",
                f"changes of the flag {before.key!r} need others' approval, and a test changes it",
                hint=f"Let them lift it for the test: `triune flags protect {before.key} 0`.",
            )
        after = rules.put_in(before, declaration, run)
        why = Why("test", f"A/B test {declaration.name} starts: {reason}", actor)
        return [self._flag_changed(now, before, after, why)]

    def _settled(self, run: Run, winner: str, reason: str, actor: str) -> list[Event]:
        """The flag without the test's rule, with the winner for its default; nothing when it is
        gone, or so already. One that was protected meanwhile becomes what it was before: its
        default is a change that others approve."""
        declared = run.declaration
        now = self.flags.current()
        before = now.flags.get(declared.flag or "")
        if before is None:
            return []
        after = rules.taken_out(before, declared, run.id)
        protected = bool(now.state(before.key).approvals)
        won = next((v.flag_variant for v in declared.candidates if v.name == winner), None)
        if won is not None and won in after.variants and not protected:
            after = replace(after, default=won)
        if after == before:
            return []
        why = Why("test", f"A/B test {run.name} ends: {reason}", actor, forced=protected)
        return [self._flag_changed(now, before, after, why)]

    def _flag_changed(self, now: FlagSet, before: Flag, after: Flag, why: Why) -> Event:
        state = now.state(before.key)
        return changes.told(
            before.key,
            now.numbers[before.key] + 1,
            state,
            state._replace(flag=after),
            why=why,
            workspace=self.workspace,
        )


def check_reason(reason: str, name: str) -> None:
    """Raises `Refused` (``reason-missing``)."""
    if not reason.strip():
        raise Refused(
            "reason-missing",
            "a test's beginning and end need a reason",
            context=f"test {name}",
            hint="Say why in a few words: `--reason`.",
        )


def meanwhile(name: str) -> Conflict:
    """The error for a change that others came before, again and again."""
    return Conflict(
        "tests-changed-meanwhile",
        "others change tests or the flag at the same moment",
        context=name,
        hint="Look at them (`triune ab list`) and do it again.",
    )
