"""The use cases of flags: what there is, what changes, what was before."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from triune.core.errors import Conflict, NotFound, Refused
from triune.core.mistakes import closest
from triune.delivery.flags import changes, definitions, document, edits
from triune.delivery.flags.changes import Change, Why
from triune.delivery.flags.evaluator import Evaluator
from triune.delivery.flags.model import Flag
from triune.ledger.envelope import Event
from triune.ledger.ports import Query, Stored


class Log(Protocol):
    """The part of the ledger that flags use."""

    def record(self, events: Sequence[Event], *, all_new: bool = False) -> int:
        """Store events in one transaction, durably; `Conflict` when an id is not new."""
        ...

    def get(self, identifier: str) -> Event | None:
        """The event with this id."""
        ...

    def select(self, query: Query | None = None) -> Iterator[Stored]:
        """Events that match."""
        ...


@dataclass(frozen=True, slots=True)
class FlagSet:
    """All flags at a point of the ledger. ``sequence`` is that of the last change, 0 without any;
    ``numbers`` has how often each flag that ever was has changed."""

    flags: Mapping[str, Flag]
    numbers: Mapping[str, int]
    sequence: int = 0

    @property
    def version(self) -> str:
        """12 hex digits of the content."""
        return document.version_of(self.flags)

    def evaluator(self) -> Evaluator:
        """The flags made ready."""
        return Evaluator(self.flags.values())

    def find(self, key: str) -> Flag:
        """Raises `NotFound` (``flag-unknown``)."""
        if key not in self.flags:
            raise NotFound(
                "flag-unknown",
                f"there is no flag {key!r}",
                hint=closest(key, list(self.flags)) if self.flags else _NONE,
            )
        return self.flags[key]


_NONE = "`triune flags set` makes one, `triune flags import` takes a file of flagd's."
EMPTY = FlagSet({}, {})


def after(known: FlagSet, found: Iterator[Stored]) -> FlagSet:
    """The flags after these events, in the order of the log."""
    latest = {stored.event.subject: stored for stored in found}
    flags, numbers, sequence = dict(known.flags), dict(known.numbers), known.sequence
    for change in map(changes.of_event, latest.values()):
        numbers[change.key], sequence = change.number, max(sequence, change.sequence)
        flags.pop(change.key, None)
        if change.after is not None:
            flags[change.key] = change.after
    return FlagSet(flags, numbers, sequence)


class Flags:
    """The flags of one workspace.

    Every change takes a ``reason`` and an ``actor`` (default: whoever runs it), and is one event in
    the ledger: killed at any line, it is there or it is not. Of two changes of one flag at the same
    time one is made, and the other refused (`Conflict`, ``flag-changed-meanwhile``).
    """

    def __init__(self, log: Log, workspace: str) -> None:
        self._log = log
        self._workspace = workspace

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

    def set(self, flag: Flag, reason: str, *, actor: str | None = None) -> Change | None:
        """Make a flag, or replace it; None when it is so already.

        Raises
        ------
        ConfigError: every mistake of the flag.
        Conflict: ``flag-changed-meanwhile``.
        Refused: (``reason-missing``).
        """
        return self._one(flag.key, lambda _: flag, Why("set", reason, actor))

    def enable(self, key: str, reason: str, *, actor: str | None = None) -> Change | None:
        """Switch a flag on; None when it is on already."""
        return self._edit(
            key, lambda f: edits.switched(f, enabled=True), Why("enable", reason, actor)
        )

    def disable(self, key: str, reason: str, *, actor: str | None = None) -> Change | None:
        """Switch a flag off: every caller gets its own default. None when it is off already."""
        return self._edit(
            key, lambda f: edits.switched(f, enabled=False), Why("disable", reason, actor)
        )

    def default(
        self, key: str, variant: str, reason: str, *, actor: str | None = None
    ) -> Change | None:
        """Give a flag another default variant."""
        return self._edit(
            key, lambda f: edits.defaulting(f, variant), Why("default", reason, actor)
        )

    def roll_out(
        self, key: str, shares: Mapping[str, float], reason: str, *, actor: str | None = None
    ) -> Change | None:
        """Split the units that no rule matches; see `edits.rolled_out`."""
        return self._edit(key, lambda f: edits.rolled_out(f, shares), Why("rollout", reason, actor))

    def remove(self, key: str, reason: str, *, actor: str | None = None) -> Change | None:
        """Delete a flag; its history stays, and `roll_back` brings it back."""
        self.current().find(key)
        return self._one(key, lambda _: None, Why("remove", reason, actor))

    def roll_back(
        self, key: str, reason: str, *, to: int | None = None, actor: str | None = None
    ) -> Change | None:
        """Make a flag what it was after its change number ``to``; by default, before its last one.

        Raises
        ------
        NotFound: ``flag-unknown``, ``change-unknown``.
        """
        history = self.history(key)
        if to is None:
            wanted = history[0].before
        else:
            found = [one for one in history if one.number == to]
            if not found:
                raise NotFound(
                    "change-unknown",
                    f"flag {key!r} has no change {to}",
                    hint=f"It has 1 to {history[0].number}: `triune flags history {key}`.",
                )
            wanted = found[0].after
        return self._one(key, lambda _: wanted, Why("rollback", reason, actor))

    def take(
        self,
        raw: Any,
        reason: str,
        *,
        source: str = "flags.json",
        prune: bool = False,
        dry_run: bool = False,
        actor: str | None = None,
    ) -> list[Change]:
        """Make the flags what a parsed file of flagd's says, all or nothing; what changes.

        With ``prune`` flags that the file has not are removed. Metadata of the whole file becomes
        each flag's own.

        Raises
        ------
        ConfigError: every mistake of the file.
        Conflict: ``flag-changed-meanwhile``; nothing was changed.
        """
        read = definitions.read(raw, source=source)
        now = self.current()
        wanted: dict[str, Flag | None] = {key: None for key in now.flags if prune}
        for key, flag in read.flags.items():
            metadata = {**read.metadata, **flag.metadata}
            wanted[key] = Flag(
                key, flag.enabled, flag.variants, flag.default, flag.targeting, metadata
            )
        events = [
            self._event(now, key, flag, Why("import", reason, actor))
            for key, flag in sorted(wanted.items())
            if flag != now.flags.get(key)
        ]
        return self._keep(events, dry_run=dry_run)

    def _edit(self, key: str, edit: Callable[[Flag], Flag], why: Why) -> Change | None:
        return self._one(key, lambda now: edit(now.find(key)), why)

    def _one(
        self,
        key: str,
        make: Callable[[FlagSet], Flag | None],
        why: Why,
    ) -> Change | None:
        now = self.current()
        wanted = make(now)
        if wanted == now.flags.get(key):
            return None
        made = self._event(now, key, wanted, why)
        if wanted is not None:
            definitions.read({"flags": {key: document.of_flag(wanted)}}, source=f"flag {key}")
        return self._keep([made])[0]

    def _event(
        self,
        now: FlagSet,
        key: str,
        wanted: Flag | None,
        why: Why,
    ) -> Event:
        if not why.reason.strip():
            raise Refused(
                "reason-missing",
                "a change of a flag needs a reason",
                context=f"flag {key}",
                hint="Say why in a few words: `--reason`.",
            )
        return changes.told(
            key,
            now.numbers.get(key, 0) + 1,
            now.flags.get(key),
            wanted,
            why=why,
            workspace=self._workspace,
        )

    def _keep(self, events: Sequence[Event], *, dry_run: bool = False) -> list[Change]:
        if events and not dry_run:
            try:
                self._log.record(events, all_new=True)
            except Conflict:
                self._check_kept(events)
        return [changes.of_event(Stored(0, event)) for event in events]

    def _check_kept(self, events: Sequence[Event]) -> None:
        """Whether the ledger has our changes, from an attempt whose answer was lost, or others
        took their numbers."""
        for mine in events:
            theirs = self._log.get(mine.id)
            if theirs != mine:
                who = "nobody" if theirs is None else theirs.actor
                raise Conflict(
                    "flag-changed-meanwhile",
                    f"{who} changed {mine.payload['key']!r} at the same moment",
                    context="" if theirs is None else str(theirs.payload["reason"]),
                    hint="Look at it (`triune flags get`) and change it again.",
                )
