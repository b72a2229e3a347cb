"""The use cases of flags: what there is, what changes, what was before."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from triune.core.clock import Clock, SystemClock
from triune.core.errors import Conflict, NotFound, Refused
from triune.core.mistakes import closest
from triune.delivery.flags import changes, definitions, document, edits, plans
from triune.delivery.flags.changes import Change, Why
from triune.delivery.flags.edits import Default, Edit, Fields, Protect, Shares, Whole
from triune.delivery.flags.evaluator import Evaluator
from triune.delivery.flags.model import Flag, State
from triune.delivery.flags.plans import Plan
from triune.delivery.ports import Log
from triune.ledger.envelope import Event
from triune.ledger.ports import Query, Stored

Done = Change | Plan | None
"""What asking for a change gives: it was made, or it waits, or all was so already."""


@dataclass(frozen=True, slots=True)
class FlagSet:
    """All flags at a point of the ledger. ``sequence`` is that of the last change, 0 without any;
    ``numbers`` has how often each flag that ever was has changed, ``approvals`` how many other
    people must approve a change of each protected one."""

    flags: Mapping[str, Flag]
    numbers: Mapping[str, int]
    sequence: int = 0
    approvals: Mapping[str, int] = field(default_factory=dict)

    @property
    def version(self) -> str:
        """12 hex digits of the content."""
        return document.version_of(self.flags)

    def evaluator(self) -> Evaluator:
        """The flags made ready."""
        return Evaluator(self.flags.values())

    def state(self, key: str) -> State:
        """A flag as it stands, also one that is not there."""
        return State(self.flags.get(key), self.approvals.get(key, 0))

    def find(self, key: str) -> Flag:
        """Raises `NotFound` (``flag-unknown``)."""
        if key not in self.flags:
            raise NotFound(
                "flag-unknown",
                f"there is no flag {key!r}",
                hint=closest(key, list(self.flags)) if self.flags else _NONE,
            )
        return self.flags[key]


InUse = Callable[[str], str | None]
"""What depends on a flag, in words; None: nothing."""

_NONE = "`triune flags set` makes one, `triune flags import` takes a file of flagd's."
EMPTY = FlagSet({}, {})
_OFF = Fields({"state": "DISABLED"})
"""All that may go around an approval."""


def after(known: FlagSet, found: Iterator[Stored]) -> FlagSet:
    """The flags after these events, in the order of the log."""
    latest = {stored.event.subject: stored for stored in found}
    flags, numbers, approvals = dict(known.flags), dict(known.numbers), dict(known.approvals)
    sequence = known.sequence
    for change in map(changes.of_event, latest.values()):
        numbers[change.key], sequence = change.number, max(sequence, change.sequence)
        flags.pop(change.key, None)
        approvals.pop(change.key, None)
        if change.after is not None:
            flags[change.key] = change.after
        if change.approvals:
            approvals[change.key] = change.approvals
    return FlagSet(flags, numbers, sequence, approvals)


class Flags:
    """The flags of one workspace.

    Every change takes a ``reason`` and an ``actor`` (default: whoever runs it), and is one event in
    the ledger: killed at any line, it is there or it is not. It is made to the flag as it was read:
    of two changes of one flag at the same time one is made, and the other refused (`Conflict`,
    ``flag-changed-meanwhile``).

    A change of a protected flag is not made: it becomes a plan that others approve. With a time
    (``at``) a change becomes a plan too; see `planning.Planning` for what becomes of plans.
    """

    def __init__(
        self,
        log: Log,
        workspace: str,
        clock: Clock | None = None,
        in_use: InUse | None = None,
    ) -> None:
        self._log = log
        self._workspace = workspace
        self._clock = clock or SystemClock()
        self._in_use = in_use

    def current(self, known: FlagSet = EMPTY) -> FlagSet:
        """The flags as they are; from ``known`` on only what happened since is read."""
        query = Query(kind=changes.CHANGED, after=known.sequence)
        return after(known, self._log.select(query))

    def history(self, key: str) -> list[Change]:
        """Every change of a flag, the newest first. Raises `NotFound` (``flag-unknown``)."""
        query = Query(kind=changes.CHANGED, subject=changes.subject(key), newest_first=True)
        found = [changes.of_event(stored) for stored in self._log.select(query)]
        if not found:
            self.current().find(key)
        return found

    def set(self, flag: Flag, reason: str, *, actor: str | None = None) -> Done:
        """Make a flag, or replace it whole; None when it is so already.

        Raises
        ------
        ConfigError: every mistake of the flag.
        Conflict: ``flag-changed-meanwhile``.
        Refused: (``reason-missing``).
        """
        return self.change(flag.key, Whole.of(flag), Why("set", reason, actor))

    def edit(
        self,
        key: str,
        fields: Mapping[str, Any],
        reason: str,
        *,
        actor: str | None = None,
        at: datetime | None = None,
    ) -> Done:
        """Give fields of flagd's format other values, metadata being added to. A flag that is not
        there is made, off for everybody where nothing else is said."""
        wanted = Fields(dict(fields), makes=True)
        return self.change(key, wanted, Why("set", reason, actor), at=at)

    def enable(
        self, key: str, reason: str, *, actor: str | None = None, at: datetime | None = None
    ) -> Done:
        """Switch a flag on; None when it is on already."""
        wanted = Fields({"state": "ENABLED"})
        return self.change(key, wanted, Why("enable", reason, actor), at=at)

    def disable(
        self,
        key: str,
        reason: str,
        *,
        actor: str | None = None,
        at: datetime | None = None,
        force: bool = False,
    ) -> Done:
        """Switch a flag off: every caller gets its own default. None when it is off already. With
        ``force`` at once, also when the flag is protected; that is written down."""
        return self.change(key, _OFF, Why("disable", reason, actor, forced=force), at=at)

    def default(
        self,
        key: str,
        variant: str,
        reason: str,
        *,
        actor: str | None = None,
        at: datetime | None = None,
    ) -> Done:
        """Give a flag another default variant."""
        return self.change(key, Default(variant), Why("default", reason, actor), at=at)

    def roll_out(
        self,
        key: str,
        shares: Mapping[str, float],
        reason: str,
        *,
        actor: str | None = None,
        at: datetime | None = None,
    ) -> Done:
        """Split the units that no rule matches; see `edits.rolled_out`."""
        return self.change(key, Shares(dict(shares)), Why("rollout", reason, actor), at=at)

    def remove(self, key: str, reason: str, *, actor: str | None = None) -> Done:
        """Delete a flag; its history stays, and `roll_back` brings it back.

        Raises `Refused` (``flag-in-use``) while something depends on it.
        """
        self.current().find(key)
        user = self._in_use(key) if self._in_use else None
        if user is not None:
            raise Refused(
                "flag-in-use",
                f"the flag {key!r} is used by {user}",
                hint="End that first, then remove the flag.",
            )
        return self.change(key, Whole(None), Why("remove", reason, actor))

    def protect(self, key: str, approvals: int, reason: str, *, actor: str | None = None) -> Done:
        """Let each later change of a flag need so many other people's approval, 0 for none. It
        stays so when the flag is removed."""
        if approvals < 0:
            raise Refused(
                "approvals-wrong",
                f"{approvals} people cannot approve",
                context=f"flag {key}",
                hint="Give 0 or more.",
            )
        return self.change(key, Protect(approvals), Why("protect", reason, actor))

    def roll_back(
        self, key: str, reason: str, *, to: int | None = None, actor: str | None = None
    ) -> Done:
        """Make a flag what it was after its change number ``to``; by default, before its last one.

        Raises
        ------
        NotFound: ``flag-unknown``, ``change-unknown``.
        """
        now, history = self.current(), self.history(key)
        if to is None:
            wanted = next(one.before for one in history if one.before != one.after)
        else:
            found = [one for one in history if one.number == to]
            if not found:
                raise NotFound(
                    "change-unknown",
                    f"flag {key!r} has no change {to}",
                    hint=f"It has 1 to {history[0].number}: `triune flags history {key}`.",
                )
            wanted = found[0].after
        return self._change(now, key, Whole.of(wanted), Why("rollback", reason, actor))

    def take(
        self,
        raw: Any,
        reason: str,
        *,
        source: str = "flags.json",
        prune: bool = False,
        dry_run: bool = False,
        actor: str | None = None,
    ) -> list[Change | Plan]:
        """Make the flags what a parsed file of flagd's says, all or nothing; what changes, and
        what of it waits for approval.

        With ``prune`` flags that the file has not are removed. Metadata of the whole file becomes
        each flag's own.

        Raises
        ------
        ConfigError: every mistake of the file.
        Conflict: ``flag-changed-meanwhile``; nothing was changed.
        """
        read = definitions.read(raw, source=source)
        now, why = self.current(), Why("import", reason, actor)
        wanted: dict[str, Flag | None] = {key: None for key in now.flags if prune}
        for key, flag in read.flags.items():
            metadata = {**read.metadata, **flag.metadata}
            wanted[key] = Flag(
                key, flag.enabled, flag.variants, flag.default, flag.targeting, metadata
            )
        asked = [
            self._asked(now, key, Whole.of(flag), now.state(key)._replace(flag=flag), why=why)
            for key, flag in sorted(wanted.items())
            if flag != now.flags.get(key)
        ]
        return self._keep(asked, dry_run=dry_run)

    def change(self, key: str, edit: Edit, why: Why, *, at: datetime | None = None) -> Done:
        """Do something to a flag as it is now; or at a time, whatever it is by then.

        Raises
        ------
        ConfigError, NotFound, Refused: what `edits.applied` raises; ``reason-missing``,
            ``time-without-zone``, ``time-passed``.
        Conflict: ``flag-changed-meanwhile``.
        """
        now = self.current()
        if why.action != "set":
            now.find(key)
        return self._change(now, key, edit, why, at)

    def _change(
        self, now: FlagSet, key: str, edit: Edit, why: Why, at: datetime | None = None
    ) -> Done:
        before = now.state(key)
        wanted = edits.applied(edit, key, before)
        if at is not None:
            self._check_time(at)
        elif wanted == before:
            return None
        edits.check(wanted.flag, why.action)
        return self._keep([self._asked(now, key, edit, wanted, why=why, at=at)])[0]

    def _check_time(self, at: datetime) -> None:
        if at.tzinfo is None:
            raise Refused(
                "time-without-zone",
                f"nobody says in which zone it is {at.isoformat()}",
                hint="Write `2026-12-24T08:00Z`, or `2026-12-24T09:00+01:00`.",
            )
        if at <= self._clock.now():
            raise Refused(
                "time-passed",
                f"{at.isoformat()} has passed",
                hint="Give a time to come, or none to change the flag now.",
            )

    def _asked(
        self,
        now: FlagSet,
        key: str,
        edit: Edit,
        wanted: State,
        *,
        why: Why,
        at: datetime | None = None,
    ) -> Event | Plan:
        """The event of a change that is made, or of the plan that it becomes; the plan itself when
        the same waits for approval already."""
        if not why.reason.strip():
            raise Refused(
                "reason-missing",
                "a change of a flag needs a reason",
                context=f"flag {key}",
                hint="Say why in a few words: `--reason`.",
            )
        before = now.state(key)
        forced = bool(before.approvals) and why.forced and edit == _OFF
        if at is not None or (before.approvals and not forced):
            known = self._plans_of(key)
            if at is None and (same := next((p for p in known if p.like(edit, before)), None)):
                return same
            return plans.made(
                key,
                len(known) + 1,
                edit,
                (before, wanted),
                why=why,
                due=at,
                workspace=self._workspace,
            )
        why = why._replace(forced=forced)
        number = now.numbers.get(key, 0) + 1
        return changes.told(key, number, before, wanted, why=why, workspace=self._workspace)

    def _plans_of(self, key: str) -> list[Plan]:
        query = Query(kind=plans.ALL, subject=changes.subject(key))
        return list(plans.Plans().after(self._log.select(query)).by_id.values())

    def _keep(self, asked: Sequence[Event | Plan], *, dry_run: bool = False) -> list[Change | Plan]:
        events = [one for one in asked if isinstance(one, Event)]
        if not dry_run and not kept(self._log, events):
            self._say_whose(events)
        return [one if isinstance(one, Plan) else _done(one) for one in asked]

    def _say_whose(self, events: Sequence[Event]) -> None:
        pairs = [(mine, self._log.get(mine.id)) for mine in events]
        mine, theirs = next(pair for pair in pairs if pair[1] != pair[0])
        raise Conflict(
            "flag-changed-meanwhile",
            f"{theirs.actor if theirs else 'somebody'} changed {mine.payload['key']!r} at the "
            "same moment",
            context=str(theirs.payload["reason"]) if theirs else None,
            hint="Look at it (`triune flags get`) and change it again.",
        )


def _done(told: Event) -> Change | Plan:
    stored = Stored(0, told)
    return changes.of_event(stored) if told.kind == changes.CHANGED else plans.of_event(stored)


def kept(log: Log, events: Sequence[Event]) -> bool:
    """Record events, all or none; False when somebody else took one's place. Ours are also those
    of an attempt whose answer was lost."""
    try:
        if events:
            log.record(events, all_new=True)
    except Conflict:
        return all(log.get(mine.id) == mine for mine in events)
    return True
