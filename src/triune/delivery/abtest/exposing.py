"""What code that uses flags tells: exposures, when a unit is treated, once for each unit; outcomes,
when they become known. Neither is ever in anyone's way.

An exposure's id is made of the run, the unit and the variant: however many processes tell of it,
however often, the ledger keeps one.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from triune.core.errors import TriuneError
from triune.core.ids import new_id
from triune.delivery.abtest.facts import EXPOSED, OBSERVED
from triune.delivery.abtest.runs import Run, subject
from triune.ledger.envelope import Event, event, microseconds

ACTOR = "service:flags"
CONTEXT = "context."
"""Where the exposures of flags have what their context said."""

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

    def saw(
        self, run: Run, unit: str, variant: str, context: Mapping[str, object] | None = None
    ) -> None:
        """A unit was treated with a variant; ``context`` says what its segments are read from.
        Never raises."""
        key = run.id, variant, unit
        with self._lock:
            if key in self._known:
                self.counts["known"] += 1
                return
            self._known[key] = None
            if len(self._known) > self._remembered:
                del self._known[next(iter(self._known))]
        try:
            self._tell(exposure(run, unit, variant, self._workspace, context))
        except TriuneError:
            with self._lock:
                self._known.pop(key, None)
                self.counts["lost"] += 1
            return
        with self._lock:
            self.counts["told"] += 1


def exposure(
    run: Run,
    unit: str,
    variant: str,
    workspace: str,
    context: Mapping[str, object] | None = None,
) -> Event:
    """The event of an exposure; of the context only what the test's segments read."""
    payload = {"test": run.name, "run": run.id, "unit": unit, "variant": variant}
    told = {
        name: value
        for name in (segment.path.removeprefix(CONTEXT) for segment in run.declaration.segments)
        if isinstance(value := (context or {}).get(name), str | int)
    }
    return event(
        EXPOSED,
        subject(run.name),
        workspace=workspace,
        actor=ACTOR,
        identifier=str(uuid5(NAMESPACE_OID, f"{run.id}/{variant}/{unit}")),
        payload=payload | ({"context": told} if told else {}),
        causes=(run.id,),
    )


@dataclass(frozen=True)
class Outcomes:
    """Tells what became of units; every test whose metrics read such an outcome counts it."""

    tell: Tell
    workspace: str

    def happened(
        self,
        unit: str,
        name: str,
        value: float | bool = 1.0,
        *,
        at: datetime | None = None,
        key: str | None = None,
    ) -> None:
        """Something happened to a unit. Never waits for the store.

        Parameters
        ----------
        name: what, as metrics call it, e.g. ``order``
        value: how much of it
        at: when it happened; default: now. One that is told late counts where it belongs
        key: what it is known by, e.g. the order's number: told again, it takes its own place

        Raises what `tell` raises, e.g. `Unavailable` (``journal-full``).
        """
        payload: dict[str, Any] = {"unit": unit, "name": name, "value": float(value)}
        if at is not None:
            payload["at"] = microseconds(at)
        self.tell(
            event(
                OBSERVED,
                f"outcome:{key or new_id()}",
                workspace=self.workspace,
                actor=ACTOR,
                payload=payload,
            )
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
