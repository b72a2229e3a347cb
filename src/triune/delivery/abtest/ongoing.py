"""The sums of tests on disk, brought up to the ledger by whoever asks, one process at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from triune.core.errors import Conflict
from triune.core.files import locked, read_json, write_json
from triune.delivery.abtest.backends.sqlite import SumsFile
from triune.delivery.abtest.facts import Period, Reader
from triune.delivery.abtest.ports import Before, Log
from triune.delivery.abtest.readings import Memory
from triune.delivery.abtest.runs import Run
from triune.delivery.abtest.stream import Position, Stream
from triune.delivery.abtest.tally import Tally


@dataclass(frozen=True)
class Ongoing:
    """The sums of each run, in a file of their own; beside it what earlier looks leave to later
    ones, which cannot be computed anew."""

    log: Log
    folder: Path
    before: Before | None = None

    @contextmanager
    def stream(self, run: Run, period: Period) -> Iterator[Stream]:
        """A run's sums. Only who holds the lock may change them: see `catch_up`."""
        sums = SumsFile(self.folder / f"{run.id}.db", f"{run.id} {period.since}")
        try:
            yield Stream(self.log, reader(run), period, sums, self.before)
        finally:
            sums.close()

    def catch_up(self, run: Run, period: Period, now: int, *, most: int | None = None) -> int:
        """Bring a run's sums up to the log; events read, -1 when another process does it."""
        lock = self.folder / f"{run.id}.lock"
        try:
            with locked(lock, wait=False), self.stream(run, period) as found:
                return found.catch_up(now, most=most)
        except Conflict as busy:
            if busy.reference != "already-running":
                raise
            return -1

    def look(self, run: Run, period: Period | None) -> tuple[Tally, Position]:
        """A run's sums as they are now."""
        declared = run.declaration
        if period is None:
            return Tally(declared.metrics, declared.shares, declared.labels), Position()
        with self.stream(run, period) as found:
            return found.look()

    def memory(self, run: Run) -> Memory | None:
        """What the looks so far leave to the next one."""
        kept = read_json(self._memory_file(run))
        return None if kept is None else msgspec.convert(kept, Memory)

    def remember(self, run: Run, memory: Memory) -> None:
        """Keep what a look leaves."""
        write_json(self._memory_file(run), msgspec.to_builtins(memory))

    def _memory_file(self, run: Run) -> Path:
        return self.folder / f"{run.id}.looks.json"


def reader(run: Run) -> Reader:
    """What reads a run's events."""
    return Reader(run.declaration, run.id, run.arms)
