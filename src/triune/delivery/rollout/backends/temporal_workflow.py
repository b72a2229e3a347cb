"""A rollout as a Temporal workflow: which stage comes next, again and again until it is over.

What a stage does is in the activities; which phase the endpoint is in they read from its state
file. So the workflow may be started again at any time, even after Temporal's own database was
lost: its first activity finds out how far the rollout has come. Its history stays short: a
canary of any length is one activity an hour, and after `ROUNDS` of them it continues as new.

Signals are the human gates from anywhere that reaches Temporal; `triune rollout` uses the same
gates without it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError

ROUNDS = 50
ROUND_SECONDS = 7 * 86_400.0
STAGE = "stage"
GATE = "gate"
_AGAIN = RetryPolicy(
    initial_interval=timedelta(seconds=0.25),
    backoff_coefficient=1.5,
    maximum_interval=timedelta(seconds=15),
)


@dataclass(frozen=True)
class Order:
    """What the workflow is to see through; the seconds are chosen when it starts.

    ``beat_s``: an activity silent for so long is taken to be dead and given to another worker.
    """

    endpoint: str
    rollout: str
    phase: str = "starting"
    beat_s: float = 5.0
    round_s: float = ROUND_SECONDS


@dataclass(frozen=True)
class Step:
    """Where a stage left the rollout: its phase, the empty text once it is over."""

    phase: str
    wait_s: float = 0.0


@dataclass(frozen=True)
class Asked:
    """A person's wish, as a signal brings it."""

    order: Order
    gate: str
    actor: str
    reason: str
    at: float


@workflow.defn(name="rollout")
class RolloutWorkflow:
    """See the module's words."""

    def __init__(self) -> None:
        self._order: Order | None = None

    @workflow.run
    async def run(self, order: Order) -> str:
        """Returns the last phase that was seen before it was over."""
        self._order = order
        rounds, over = 0, False
        while not over:
            step = await self._stage(order)
            over, rounds = not step.phase, rounds + 1
            if not over:
                order = self._order = replace(order, phase=step.phase)
                await self._rest(order, step.wait_s, rounds)
        await workflow.wait_condition(workflow.all_handlers_finished)
        return order.phase

    async def _rest(self, order: Order, wait_s: float, rounds: int) -> None:
        """Wait before the next stage; begin the history anew when it has grown."""
        if wait_s > 0:
            await workflow.sleep(wait_s)
        if rounds >= ROUNDS:
            await workflow.wait_condition(workflow.all_handlers_finished)
            workflow.continue_as_new(order)

    async def _stage(self, order: Order) -> Step:
        step: Step = await workflow.execute_activity(
            f"{STAGE}.{order.phase}",
            order,
            result_type=Step,
            start_to_close_timeout=timedelta(seconds=order.round_s + 900),
            heartbeat_timeout=timedelta(seconds=order.beat_s),
            retry_policy=_AGAIN,
        )
        return step

    @workflow.signal
    async def pause(self, actor: str, reason: str) -> None:
        """Hold the share where it is; looks go on, and harm still rolls back."""
        await self._gate("pause", actor, reason)

    @workflow.signal
    async def resume(self, actor: str, reason: str) -> None:
        """Go on after a pause."""
        await self._gate("resume", actor, reason)

    @workflow.signal
    async def promote(self, actor: str, reason: str) -> None:
        """Give the candidate all traffic without waiting for more evidence."""
        await self._gate("promote", actor, reason)

    @workflow.signal
    async def abort(self, actor: str, reason: str) -> None:
        """Return all traffic to the stable release."""
        await self._gate("abort", actor, reason)

    async def _gate(self, gate: str, actor: str, reason: str) -> None:
        await workflow.wait_condition(lambda: self._order is not None)
        assert self._order is not None
        asked = Asked(self._order, gate, actor, reason, workflow.now().timestamp())
        try:
            await workflow.execute_activity(
                GATE,
                asked,
                start_to_close_timeout=timedelta(seconds=60),
                heartbeat_timeout=timedelta(seconds=self._order.beat_s),
                retry_policy=RetryPolicy(maximum_attempts=5),
            )
        except ActivityError:
            # Past the gates: the rollout goes on as it is, and the log of the controller says so.
            workflow.logger.warning("the gate %s came too late", gate)
