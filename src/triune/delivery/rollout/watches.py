"""The watch of each phase that lasts, and the readings that all of them share."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from triune.core.clock import Clock
from triune.delivery.gateway.model import Snapshot
from triune.delivery.rollout.conductor import Conductor
from triune.delivery.rollout.model import Ticket
from triune.delivery.rollout.shadowing import SamplesOf, Shadowing
from triune.delivery.rollout.watch import Watch
from triune.delivery.state import Phase

FRESH_SECONDS = 0.1


@dataclass
class SharedReadings:
    """One reading of the gateway for all rollouts that look at the same time."""

    take: Callable[[], Snapshot]
    clock: Clock
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _last: tuple[float, Snapshot] | None = None

    def __call__(self) -> Snapshot:
        """A snapshot not older than `FRESH_SECONDS`; raises `Unavailable`."""
        with self._lock:
            now = self.clock.monotonic()
            if self._last is None or now - self._last[0] > FRESH_SECONDS:
                self._last = None
                self._last = now, self.take()
            return self._last[1]


@dataclass(frozen=True)
class Watches:
    """Makes the watch of a phase."""

    conductor: Conductor
    snapshot: Callable[[], Snapshot]
    samples: SamplesOf

    def __call__(self, phase: Phase, ticket: Ticket) -> Watch | Shadowing:
        if phase is Phase.SHADOWING:
            return Shadowing(self.conductor, self.samples, ticket)
        return Watch(self.conductor, self.snapshot, ticket)


def of(conductor: Conductor, samples: SamplesOf) -> Watches:
    """The watches over a conductor's own gateway."""
    tools = conductor.tools
    readings = SharedReadings(tools.routing.gateway.snapshot, tools.clock)
    return Watches(conductor, readings, samples)
