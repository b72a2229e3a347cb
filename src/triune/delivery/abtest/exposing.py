"""Exposures of flags: told when a unit is treated, once for each unit, and never in anyone's way.

An exposure's id is made of the run, the unit and the variant: however many processes tell of it,
however often, the ledger keeps one.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from uuid import NAMESPACE_OID, uuid5

from triune.core.errors import TriuneError
from triune.delivery.abtest.facts import EXPOSED
from triune.delivery.abtest.runs import Run, subject
from triune.ledger.envelope import Event, event

ACTOR = "service:flags"
REMEMBERED = 200_000
"""Exposures that are not handed over again by the same process."""

POLL_SECONDS = 1.0
Tell = Callable[[Event], None]
"""Takes an event and never waits for the store, as `triune.ledger.service.Ledger.append`."""


class Exposures:
    """Tells each exposure once. Thread-safe; ``counts`` says what became of them: ``told``,
    ``known`` (told before), ``lost`` (not taken, e.g. as the journal is full)."""

    def __init__(self, tell: Tell, workspace: str, *, remembered: int = REMEMBERED) -> None:
        self._tell = tell
        self._workspace = workspace
        self._remembered = remembered
        self._known: dict[tuple[str, str, str], None] = {}
        self._lock = threading.Lock()
        self.counts: Counter[str] = Counter()

    def saw(self, run: Run, unit: str, variant: str) -> None:
        """A unit was treated with a variant. Never raises."""
        key = run.id, variant, unit
        with self._lock:
            if key in self._known:
                self.counts["known"] += 1
                return
            self._known[key] = None
            if len(self._known) > self._remembered:
                del self._known[next(iter(self._known))]
        try:
            self._tell(exposure(run, unit, variant, self._workspace))
        except TriuneError:
            with self._lock:
                self._known.pop(key, None)
                self.counts["lost"] += 1
            return
        with self._lock:
            self.counts["told"] += 1


def exposure(run: Run, unit: str, variant: str, workspace: str) -> Event:
    """The event of an exposure."""
    return event(
        EXPOSED,
        subject(run.name),
        workspace=workspace,
        actor=ACTOR,
        identifier=str(uuid5(NAMESPACE_OID, f"{run.id}/{variant}/{unit}")),
        payload={"test": run.name, "run": run.id, "unit": unit, "variant": variant},
        causes=(run.id,),
    )


class Running:
    """The tests that run, looked up in a thread of its own: whoever asks never waits."""

    def __init__(
        self, ask: Callable[[], Mapping[str, Run]], *, every: float = POLL_SECONDS
    ) -> None:
        self._ask = ask
        self._every = every
        self._found: Mapping[str, Run] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="tests-running", daemon=True)

    def start(self) -> Running:
        """Look now, and then again and again."""
        self._look()
        self._thread.start()
        return self

    def __call__(self) -> Mapping[str, Run]:
        """By the id of the run."""
        return self._found

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _follow(self) -> None:
        while not self._stop.wait(self._every):
            self._look()

    def _look(self) -> None:
        try:
            self._found = self._ask()
        except TriuneError:
            return  # the last ones known stay, until the ledger is back
