"""Temporal as the rollouts' driver: a worker whose activities are the conductor's stages."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol

from temporalio import activity
from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.service import RPCError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from triune.core.errors import Conflict, Unavailable
from triune.delivery.rollout.backends.temporal_workflow import (
    GATE,
    ROUND_SECONDS,
    STAGE,
    Asked,
    Order,
    RolloutWorkflow,
    Step,
)
from triune.delivery.rollout.conductor import Conductor, Where
from triune.delivery.rollout.model import Ticket, Wish
from triune.delivery.rollout.watch import POLL_SECONDS
from triune.delivery.state import BESIDE_STABLE, Phase

MANY = 2_000
"""Rollouts one worker takes on at once."""
THREADS = 16
BEAT_SECONDS = 5.0
BEAT_SECONDS_MANY = 30.0
FEW = 50
"""With more rollouts than this, a dead worker's are taken up later and Temporal is spared."""
LOCK_SECONDS = 0.2
AGAIN_SECONDS = 1.0
"""How soon a watch that failed is begun anew."""
STICKY_SECONDS = 1.0
"""How long a workflow waits for the worker it was with before; another one may have come."""

Tell = Callable[[str], None]


class Turning(Protocol):
    """A watch of a phase that lasts: see `triune.delivery.rollout.watch.Watch`."""

    def turn(self) -> Where: ...
    def changed(self) -> bool: ...


Watches = Callable[[Phase, Ticket], Turning]


@dataclass
class RolloutWorker:
    """The activities over one conductor. They share a pool of threads, since stages block."""

    conductor: Conductor
    watches: Watches
    tell: Tell
    threads: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(THREADS, thread_name_prefix="look")
    )
    movers: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(THREADS, thread_name_prefix="move")
    )
    """Starting and draining take long; a look must not wait for them."""

    def activities(self) -> Sequence[Callable[..., Any]]:
        """One for each phase, so that Temporal's pages show where a rollout is, and the gate."""
        return [*(self._activity(phase) for phase in Phase), self._gate()]

    def _activity(self, phase: Phase) -> Callable[[Order], Coroutine[Any, Any, Step]]:
        async def run(order: Order) -> Step:
            ticket = Ticket(order.endpoint, order.rollout)
            async with _beating(order.beat_s):
                where = await self._call(self.conductor.where, ticket)
                if where.phase is phase and phase in BESIDE_STABLE:
                    where = await self._watch(phase, ticket, order.round_s)
                elif where.phase is phase:
                    stage = self.conductor.unattended()[phase]
                    where = await self._call(stage, ticket, pool=self.movers)
                if where.over:
                    where = await self._call(self.conductor.conclude, ticket)
            return Step(where.phase.value if where.phase else "", where.wait_s)

        return activity.defn(name=f"{STAGE}.{phase.value}")(run)

    def _gate(self) -> Callable[[Asked], Coroutine[Any, Any, None]]:
        async def gate(asked: Asked) -> None:
            ticket = Ticket(asked.order.endpoint, asked.order.rollout)
            wish = Wish(asked.actor, asked.reason, asked.at)
            async with _beating(asked.order.beat_s):
                try:
                    if asked.gate == "abort":
                        await self._call(self.conductor.abort, ticket, wish)
                    else:
                        await self._call(self.conductor.gate, ticket, asked.gate, wish)
                except Conflict as late:
                    if late.reference != "rollout-over":
                        raise
                    self.tell(f"{asked.gate} of {ticket.endpoint}: {late.message}")

        return activity.defn(name=GATE)(gate)

    async def _watch(self, phase: Phase, ticket: Ticket, round_s: float) -> Where:
        """Turn the watch until the phase is over or the round is; one watch at a time.

        Another one may still hold the lock for a moment: a worker that Temporal took for dead.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + round_s
        with contextlib.ExitStack() as stack:
            while not self._held(stack, ticket):
                await asyncio.sleep(LOCK_SECONDS)
            watch = self.watches(phase, ticket)
            while loop.time() < until:
                try:
                    where: Where = await self._call(watch.turn)
                except (Unavailable, Conflict) as error:
                    # Begun anew here: Temporal, which would otherwise do it, may be away as well.
                    self.tell(f"{ticket.endpoint}: {error.reference}: {error.message}")
                    watch = self.watches(phase, ticket)
                    await asyncio.sleep(AGAIN_SECONDS)
                    continue
                if where.phase is not phase:
                    return where
                await self._rest(watch, loop.time() + where.wait_s)
        return Where(phase)

    def _held(self, stack: contextlib.ExitStack, ticket: Ticket) -> bool:
        try:
            stack.enter_context(self.conductor.records.watching(ticket.endpoint))
        except Conflict:
            return False
        return True

    async def _rest(self, watch: Turning, until: float) -> None:
        loop = asyncio.get_running_loop()
        while (left := until - loop.time()) > 0 and not watch.changed():
            await asyncio.sleep(min(left, POLL_SECONDS))

    async def _call(
        self,
        function: Callable[..., Any],
        *arguments: Any,
        pool: ThreadPoolExecutor | None = None,
    ) -> Any:
        """Run it in a thread. One that Temporal takes the activity from meanwhile is waited for:
        what runs in it needs the locks that are held for it."""
        loop = asyncio.get_running_loop()
        running = loop.run_in_executor(pool or self.threads, function, *arguments)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            await asyncio.wait([running])
            raise


@asynccontextmanager
async def _beating(beat_s: float) -> AsyncIterator[None]:
    """Heartbeats while the block runs, whatever it waits for."""

    async def beat() -> None:
        while True:
            activity.heartbeat()
            await asyncio.sleep(beat_s / 4)

    task = asyncio.create_task(beat())
    try:
        yield
    finally:
        task.cancel()


@dataclass(frozen=True)
class Temporal:
    """The connection of one workspace: where its rollouts are queued and what they are called.

    ``beat_s`` and ``round_s`` are those of `Order`; without ``beat_s`` it depends on how many
    rollouts there are.
    """

    client: Client
    workspace: str
    beat_s: float | None = None
    round_s: float = ROUND_SECONDS

    @classmethod
    async def connect(
        cls,
        address: str,
        workspace: str,
        *,
        beat_s: float | None = None,
        round_s: float = ROUND_SECONDS,
    ) -> Temporal:
        """Raises `Unavailable` (``temporal-unreachable``)."""
        try:
            client = await Client.connect(address)
        except (RuntimeError, RPCError) as error:
            raise Unavailable(
                "temporal-unreachable",
                f"Temporal does not answer: {error}",
                context=address,
                hint="`triune status` shows whether it runs; `triune up` starts it.",
            ) from error
        return cls(client, workspace, beat_s, round_s)

    @property
    def queue(self) -> str:
        return f"triune-{self.workspace}"

    def worker(self, of: RolloutWorker) -> Worker:
        """A worker for this workspace's rollouts; run it with ``async with``."""
        return Worker(
            self.client,
            task_queue=self.queue,
            workflows=[RolloutWorkflow],
            activities=of.activities(),
            max_concurrent_activities=MANY,
            max_cached_workflows=MANY,
            sticky_queue_schedule_to_start_timeout=timedelta(seconds=STICKY_SECONDS),
            # The workflow imports nothing but Temporal: a sandbox would only cost, once for each.
            workflow_runner=UnsandboxedWorkflowRunner(),
        )

    async def ensure(self, ticket: Ticket, *, many: bool) -> None:
        """The workflow of this rollout runs: started unless it runs already.

        Raises `Unavailable` (``temporal-unreachable``).
        """
        order = Order(
            ticket.endpoint,
            ticket.rollout,
            beat_s=self.beat_s or (BEAT_SECONDS_MANY if many else BEAT_SECONDS),
            round_s=self.round_s,
        )
        try:
            await self.client.start_workflow(
                RolloutWorkflow.run,
                order,
                id=f"{self.workspace}/{ticket.endpoint}/{ticket.rollout}",
                task_queue=self.queue,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            )
        except RPCError as error:
            raise Unavailable(
                "temporal-unreachable",
                f"Temporal did not take the rollout: {error.message}",
                context=ticket.endpoint,
                hint="It is offered again until Temporal takes it; see `triune logs controller`.",
            ) from error
