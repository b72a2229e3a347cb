"""The daemon that takes rollouts from phase to phase: a Temporal worker, and a scan that gives
every rollout that has not ended its workflow.

The scan makes a command independent of Temporal: it writes the rollout's record, and the
controller takes it on as soon as both are there. It also makes a rollout independent of
Temporal's memory: a workflow that was lost with its database is started again.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from triune.app import daemon
from triune.app.context import Context
from triune.app.guard import present
from triune.core.errors import TriuneError, Unavailable

if TYPE_CHECKING:
    from triune.delivery.rollout.backends.temporal import Temporal
    from triune.delivery.rollout.conductor import Where
    from triune.delivery.rollout.model import Ticket
    from triune.delivery.rollout.store import RecordStore

NAME = "controller"
SCAN_SECONDS = 0.25
RETRY_SECONDS = 1.0
AT_ONCE = 16
AGAIN_SECONDS = 30.0
"""How often a rollout that goes on is offered to Temporal again."""


def work(context: Context, stop: threading.Event, ready: Callable[[], None]) -> None:
    """Drive rollouts until told to stop."""
    asyncio.run(_work(context, stop, ready))


async def _work(context: Context, stop: threading.Event, ready: Callable[[], None]) -> None:
    ready()  # what is asked of it meanwhile waits in files; Temporal's client takes a second
    from triune.app.rollouts import conductor, watches
    from triune.delivery.rollout.backends.temporal import FEW, RolloutWorker

    temporal = await _connect(context, stop)
    if temporal is None:
        return
    taken = conductor(context, observe=_heard)
    worker = RolloutWorker(taken, watches(context, taken), daemon.tell)
    scan = Scan(taken.records, FEW, taken.conclude)
    async with temporal.worker(worker):
        daemon.tell("drives rollouts")
        while not stop.is_set():
            await scan.look(temporal)
            await asyncio.sleep(SCAN_SECONDS)


async def _connect(context: Context, stop: threading.Event) -> Temporal | None:
    from triune.delivery.rollout.backends.temporal import Temporal

    while not stop.is_set():
        try:
            return await Temporal.connect(context.addresses.temporal, context.workspace.name)
        except Unavailable as error:
            daemon.tell(f"{error.reference}: {error.message}")
            await asyncio.sleep(RETRY_SECONDS)
    return None


def _heard(step: str, words: str) -> None:
    if words:
        daemon.tell(f"{step}: {words}")


@dataclass
class Scan:
    """Which rollouts have not ended, and when each was last given to Temporal.

    ``conclude`` ends those that are over already: a workflow that waits for the end of a rollback
    window does not notice that a person has ended it.
    """

    records: RecordStore
    few: int
    conclude: Callable[[Ticket], Where] | None = None
    again_s: float = AGAIN_SECONDS
    offered: dict[str, float] = field(default_factory=dict)

    async def look(self, temporal: Temporal) -> None:
        """Give Temporal what it has not got; what it does not take now it is offered again."""
        try:
            tickets = await asyncio.to_thread(self.records.unconcluded)
            now = time.monotonic()
            due = [t for t in tickets if self.offered.get(t.rollout, 0.0) <= now]
            many, door = len(tickets) > self.few, asyncio.Semaphore(AT_ONCE)
            await asyncio.gather(*(self._offer(temporal, t, many, door) for t in due))
        except TriuneError as error:
            daemon.tell(f"{error.reference}: {error.message}")
            await asyncio.sleep(RETRY_SECONDS)
            return
        going = {ticket.rollout for ticket in tickets}
        self.offered = {key: at for key, at in self.offered.items() if key in going}

    async def _offer(
        self, temporal: Temporal, ticket: Ticket, many: bool, door: asyncio.Semaphore
    ) -> None:
        async with door:
            if self.conclude is None or not (await asyncio.to_thread(self.conclude, ticket)).over:
                await temporal.ensure(ticket, many=many)
        self.offered[ticket.rollout] = time.monotonic() + self.again_s


if __name__ == "__main__":
    daemon.main(NAME, work, present)
