"""Flags that stay current in the background: pushed, else asked for, else as they were last."""

from __future__ import annotations

import logging
import os
import random
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum

from triune.core.errors import ConfigError, Conflict, TriuneError
from triune.delivery.flags import snapshot
from triune.delivery.flags.cache import Cache
from triune.delivery.flags.evaluator import Evaluator
from triune.delivery.flags.live.events import Message
from triune.delivery.flags.live.wire import Away, Patience, Wire
from triune.delivery.flags.model import Code
from triune.delivery.flags.snapshot import Snapshot

log = logging.getLogger("triune.flags")

LASTING_SECONDS = 1.0
"""A stream that ends sooner counts as a failure: the pauses before the next one grow."""
_STOP_SECONDS = 10.0
_DRAW = random.SystemRandom()
"""Not the interpreter's own numbers: a thousand processes that start alike must not wait alike."""


class State(StrEnum):
    """How current the flags are."""

    STARTING = "starting"
    CONNECTED = "connected"
    POLLING = "polling"
    STALE = "stale"
    REFUSED = "refused"

    @property
    def sentence(self) -> str:
        """What it means."""
        return _SENTENCES[self]


_SENTENCES = {
    State.STARTING: "the server has not been heard yet",
    State.CONNECTED: "the server pushes changes",
    State.POLLING: "the server is asked for changes, as it could not push them",
    State.STALE: "the server is away, the last flags that were good are in force",
    State.REFUSED: "the server sends what cannot be used, the last good flags are in force",
}


@dataclass(frozen=True, slots=True)
class News:
    """What listeners hear: a state, at every attempt, or the keys of flags that became others."""

    state: State
    changed: tuple[str, ...] = ()
    why: str = ""


Listener = Callable[[News], None]


class Unusable(Exception):
    """What came is not the configuration that it says it is."""


class OutOfStep(Exception):
    """A change came that does not fit on the flags here."""


class LiveFlags:
    """The flags of one server in this process. Goes on in a child after a fork.

    Parameters
    ----------
    address: gives the server's URL; asked before each attempt
    cache: where the last good flags are kept, and read at the start
    """

    def __init__(
        self,
        address: Callable[[], str],
        cache: Cache | None = None,
        *,
        patience: Patience | None = None,
    ) -> None:
        self._address, self._cache = address, cache
        self._patience = patience or Patience()
        self._evaluator = Evaluator((), absent=Code.PROVIDER_NOT_READY)
        self._snapshot: Snapshot | None = None
        self._listeners: list[Listener] = []
        self._running = False
        self._prepare()
        _all.add(self)

    def _prepare(self) -> None:
        """What belongs to one process."""
        self._lock = threading.Lock()
        self._stop, self._settled = threading.Event(), threading.Event()
        self._wire = Wire(self._patience)
        self._thread: threading.Thread | None = None
        self._state, self._failures = State.STARTING, 0
        self._in_step, self._unkept, self._disk_told = True, False, False

    @property
    def evaluator(self) -> Evaluator:
        """The flags in force: a set that never changes; ask again for what is in force then."""
        return self._evaluator

    @property
    def state(self) -> State:
        """How current they are."""
        return self._state

    @property
    def version(self) -> str:
        """The flags' version; empty while there are none."""
        return "" if self._snapshot is None else self._snapshot.version

    def listen(self, listener: Listener) -> None:
        """Call this, from the background, with all news from now on."""
        self._listeners.append(listener)

    def start(self) -> None:
        """Begin, with the flags that were kept; nothing happens where it has begun."""
        with self._lock:
            if self._running:
                return
            self._running = True
            if self._snapshot is None:
                self._begin_with_the_kept()
            self._go()

    def _go(self) -> None:
        self._stop, self._wire = threading.Event(), Wire(self._patience)
        self._thread = threading.Thread(
            target=self._run, args=(self._stop,), name="triune-flags", daemon=True
        )
        self._thread.start()

    def wait(self, timeout: float) -> bool:
        """Wait until the server was heard, or found away while flags were kept; whether there are
        flags."""
        self._settled.wait(timeout)
        return self._snapshot is not None

    def stop(self) -> None:
        """End; the flags stay as they are."""
        with self._lock:
            self._running = False
            thread, self._thread = self._thread, None
        self._stop.set()
        self._wire.interrupt()
        if thread is not None and thread is not threading.current_thread():
            thread.join(_STOP_SECONDS)

    def _after_fork(self) -> None:
        self._wire.forget()
        self._prepare()
        if self._running:
            self._go()

    def _begin_with_the_kept(self) -> None:
        try:
            kept = self._cache.load() if self._cache is not None else None
        except TriuneError as broken:
            log.warning("%s: %s", broken.reference, broken.message)
            return
        if kept is not None:
            self._put(kept, Evaluator(kept.flags.values()))

    def _run(self, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                self._attempt()
            except Exception:
                log.exception("an error of the flags' own; the last good ones stay in force")
                self._failures += 1
            stop.wait(self._pause())

    def _attempt(self) -> None:
        """Follow the stream to its end; without one, ask once."""
        try:
            url = self._address()
            if self._followed(url):
                return
            if asked := self._wire.ask(url, self._known):
                self._take_all(*asked)
        except (Away, TriuneError) as error:
            self._missed(State.STALE, str(error))
        except Unusable as error:
            self._missed(State.REFUSED, str(error))
        else:
            self._failures += 1
            self._reached(State.POLLING)
            if self._unkept:
                self._keep()

    def _followed(self, url: str) -> bool:
        """Whether there was a stream; returns at its end."""
        heard, began = False, time.monotonic()
        try:
            with closing(self._wire.stream(url, self._known)) as pieces:
                for messages in pieces:
                    for message in messages:
                        self._take(message)
                    heard = True
                    self._reached(State.CONNECTED)
                    if self._unkept and not messages:
                        self._keep()
        except Away as error:
            log.info("no stream of flags: %s", error)
        except OutOfStep as error:
            log.info("all flags are asked for: %s", error)
            self._in_step = False
        if heard:
            lasted = time.monotonic() - began >= LASTING_SECONDS
            self._failures = 0 if lasted else self._failures + 1
        return heard

    @property
    def _known(self) -> str:
        """The version that the server may build on."""
        return self.version if self._in_step else ""

    def _take(self, message: Message) -> None:
        """Raises `Unusable`, `OutOfStep`."""
        if message.name == "configuration":
            self._take_all(message.data, message.id)
        elif message.name == "change":
            self._take_change(message.data, message.id)

    def _take_all(self, text: str, version: str) -> None:
        """Raises `Unusable`."""
        try:
            found = snapshot.read(text, source="the flag server")
        except ConfigError as error:
            raise Unusable(error.message) from error
        if found.version != version:
            raise Unusable(f"what came is version {found.version}, not {version!r}")
        before = self._snapshot
        change = snapshot.of({}).difference(found) if before is None else before.difference(found)
        self._put(found, Evaluator(found.flags.values()))
        self._in_step = True
        self._changed(tuple(sorted(change)))

    def _take_change(self, text: str, version: str) -> None:
        """Raises `OutOfStep`."""
        try:
            change = snapshot.read_change(text, source="the flag server")
            found = snapshot.of({}) if self._snapshot is None else self._snapshot.changed(change)
        except ConfigError as error:
            raise OutOfStep(error.message) from error
        if found.version != version:
            raise OutOfStep(f"the change that came does not lead to version {version}")
        self._put(found, self._evaluator.changed(change))
        self._changed(tuple(sorted(change)))

    def _put(self, found: Snapshot, evaluator: Evaluator) -> None:
        self._snapshot, self._evaluator = found, evaluator

    def _changed(self, keys: tuple[str, ...]) -> None:
        if keys:
            self._tell(News(self._state, keys))
        self._keep()

    def _keep(self) -> None:
        """Keep the flags on disk, or try again at the next heartbeat."""
        if self._cache is None or self._snapshot is None:
            return
        self._unkept = True
        try:
            self._cache.keep(self._snapshot)
            self._unkept = False
        except Conflict:
            pass  # another process keeps them just now; looked at again at the next heartbeat
        except OSError as error:
            if not self._disk_told:
                log.warning("the flags could not be kept on disk: %s", error)
            self._disk_told = True

    def _reached(self, state: State) -> None:
        self._state = state
        self._settled.set()
        self._tell(News(state))

    def _missed(self, state: State, why: str) -> None:
        if self._state is not state:
            log.warning("flags: %s (%s)", state.sentence, why)
        self._state = state
        self._failures += 1
        if self._snapshot is not None:
            self._settled.set()
        self._tell(News(state, why=why))

    def _tell(self, news: News) -> None:
        for listener in self._listeners:
            try:
                listener(news)
            except Exception:
                log.exception("a listener of the flags failed")

    def _pause(self) -> float:
        """How long to wait before the next attempt: longer each time, and by chance."""
        patience = self._patience
        longest = patience.poll if self._state is State.POLLING else patience.longest
        pause = min(longest, patience.retry * 2 ** min(self._failures, 20))
        return float(pause * _DRAW.uniform(0.5, 1.0))


_all: weakref.WeakSet[LiveFlags] = weakref.WeakSet()


def _after_fork() -> None:
    for one in list(_all):
        one._after_fork()


os.register_at_fork(after_in_child=_after_fork)
