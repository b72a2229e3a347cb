"""The thread that carries events from the journal to the store."""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections.abc import Callable

from triune.core.errors import Refused, Unavailable
from triune.ledger.journal import Batch, Journal, decode
from triune.ledger.ports import Store

BATCH = 1000
LINGER_SECONDS = 0.02
ADOPT_SECONDS = 5.0
FIRST_PAUSE = 0.05
LONGEST_PAUSE = 2.0

_log = logging.getLogger(__name__)
_live: weakref.WeakSet[Drainer] = weakref.WeakSet()


class Drainer:
    """Drains a journal into a store, in batches, for as long as the process lives.

    It starts with the first `wake`. When the store does not answer it tries again, with
    pauses of 0.05 to 2 seconds, and nothing is lost meanwhile. Segments of dead processes are
    adopted at the start and every few seconds.
    """

    def __init__(self, journal: Journal, store: Store) -> None:
        self._journal = journal
        self._store = store
        self._reset()
        _live.add(self)

    def _reset(self) -> None:
        self._start_lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._work = threading.Event()
        self._hurry = threading.Event()
        self._stop = threading.Event()
        self._progress = threading.Condition()
        self._failure: Exception | None = None

    def wake(self) -> None:
        """There is something to drain."""
        if not self._work.is_set():
            self._work.set()
        if self._thread is None:
            self._start()

    def _start(self) -> None:
        with self._start_lock:
            if self._thread is None and not self._stop.is_set():
                self._thread = threading.Thread(target=self._run, name="ledger-drain", daemon=True)
                self._thread.start()

    def flush(self, timeout: float) -> None:
        """Wait until everything appended so far, and adopted, is in the store.

        Raises
        ------
        Unavailable: (``ledger-flush-timeout``) not within ``timeout`` seconds; the events stay
            in the journal and are drained later.
        """
        target = self._journal.accepted
        deadline = time.monotonic() + timeout
        self._hurry.set()
        self.wake()
        with self._progress:
            while not self._journal.settled(target):
                left = deadline - time.monotonic()
                if left <= 0 or self._stop.is_set():
                    raise self._late(timeout)
                self._progress.wait(left)

    def _late(self, timeout: float) -> Unavailable:
        why = f": {self._failure}" if self._failure else ""
        return Unavailable(
            "ledger-flush-timeout",
            f"the ledger did not take all events within {timeout:g} seconds{why}",
            context=str(self._journal.folder),
            hint="Nothing is lost: the events wait in the journal. Check `triune status`.",
        )

    def stop(self, timeout: float) -> None:
        """End the thread; what is not drained stays in the journal."""
        self._stop.set()
        self._hurry.set()
        self._work.set()
        if self._thread is not None:
            self._thread.join(timeout)
        with self._progress:
            self._progress.notify_all()

    def forget(self) -> None:
        """In a forked child: the thread did not come along."""
        self._reset()

    def _run(self) -> None:
        adopted_at = float("-inf")
        while not self._stop.is_set():
            if time.monotonic() - adopted_at >= ADOPT_SECONDS:
                self._guarded(self._journal.adopt)
                adopted_at = time.monotonic()
            self._drain()
            with self._progress:
                self._progress.notify_all()
            if self._work.wait(ADOPT_SECONDS) and not self._stop.is_set():
                self._hurry.wait(LINGER_SECONDS)
            self._hurry.clear()
            self._work.clear()

    def _drain(self) -> None:
        pause = FIRST_PAUSE
        while not self._stop.is_set():
            outcome = self._guarded(self._step)
            if outcome is None:
                self._stop.wait(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
            elif outcome == 0:
                return
            else:
                pause = FIRST_PAUSE

    def _step(self) -> int:
        batch = self._journal.head(BATCH)
        if batch is None:
            return 0
        try:
            self._store.append([decode(body) for body in batch.bodies])
        except Refused:
            self._one_by_one(batch)
        self._journal.advance(batch)
        with self._progress:
            self._progress.notify_all()
        return len(batch.bodies)

    def _one_by_one(self, batch: Batch) -> None:
        """One bad event must not hold up the others for ever."""
        for body in batch.bodies:
            try:
                self._store.append([decode(body)])
            except Refused as error:
                self._journal.set_aside(body, error.message)

    def _guarded(self, work: Callable[[], int]) -> int | None:
        """The result, or None after a failure, which is logged once and kept for `flush`."""
        try:
            result = work()
        except Exception as error:  # the thread must outlive whatever the store throws
            if self._failure is None:
                _log.warning("the ledger does not take events, trying again: %s", error)
            self._failure = error
            return None
        if self._failure is not None:
            _log.info("the ledger takes events again")
        self._failure = None
        return result


def _after_fork() -> None:
    for drainer in list(_live):
        drainer.forget()


os.register_at_fork(after_in_child=_after_fork)
