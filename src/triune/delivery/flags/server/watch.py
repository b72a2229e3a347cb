"""Learning of changes from the ledger: it is asked 20 times a second whether it grew."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

from triune.core.errors import TriuneError
from triune.delivery.flags import snapshot
from triune.delivery.flags.service import EMPTY, FlagSet
from triune.delivery.flags.snapshot import Snapshot

LOOK_SECONDS = 0.05
AWAY_SECONDS = 0.5


class Source(Protocol):
    """Where flags are read: `triune.delivery.flags.service.Flags`."""

    def current(self, known: FlagSet = EMPTY) -> FlagSet:
        """The flags as they are; from ``known`` on only what happened since is read."""
        ...


class Log(Protocol):
    """The part of the ledger that says whether there is anything new."""

    def last_sequence(self) -> int:
        """The place of the newest event."""
        ...


class Watch:
    """Reads what is new and hands it on; a ledger that does not answer changes nothing.

    Parameters
    ----------
    publish: gets every new set of flags, the first one included
    answers: gets whether the ledger answered, at each look
    tell: hears of a ledger that went away or came back, once
    """

    def __init__(
        self,
        source: Source,
        log: Log,
        publish: Callable[[Snapshot], None],
        answers: Callable[[bool], None],
        tell: Callable[[str], None],
    ) -> None:
        self._source, self._log = source, log
        self._publish, self._answers, self._tell = publish, answers, tell
        self._known = EMPTY
        self._seen = -1
        self._version: str | None = None
        self._away = ""

    def run(self, stop: threading.Event) -> None:
        """Look until told to stop."""
        while not stop.is_set():
            stop.wait(LOOK_SECONDS if self.look() else AWAY_SECONDS)

    def look(self) -> bool:
        """Look once; whether the ledger answered."""
        try:
            self._read()
        except TriuneError as error:
            if self._away != error.reference:
                self._tell(f"{error.reference}: {error.message}; the flags stay as they are")
            self._away = error.reference
            self._answers(False)
            return False
        if self._away:
            self._tell("the ledger answers again")
        self._away = ""
        self._answers(True)
        return True

    def _read(self) -> None:
        last = self._log.last_sequence()
        if last == self._seen:
            return
        if last < self._seen:  # a ledger that was restored
            self._known = EMPTY
        self._known = self._source.current(self._known)
        self._seen = last
        found = snapshot.of(self._known.flags)
        if found.version != self._version:
            self._publish(found)
            self._version = found.version
