"""Why a rollout does not move: which of the processes that move it does not run."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from triune.cli.rollout_words import sentence

if TYPE_CHECKING:
    from triune.app.context import Context
    from triune.delivery.rollout.view import RolloutView

STALL_SECONDS = 15.0
DRIVERS = ("controller", "temporal")

Why = Callable[[], str]
"""What keeps rollouts from moving; empty when all that moves them runs."""


class Standstill:
    """Takes views as they come; says why the rollout stands still.

    Parameters
    ----------
    why: asked when nothing has moved for `STALL_SECONDS`, and again after as long
    clock: monotonic seconds
    """

    def __init__(self, why: Why, clock: Callable[[], float] = time.monotonic) -> None:
        self._why = why
        self._clock = clock
        self._moved: tuple[object, ...] = ()
        self._since = clock()
        self._words = ""

    def __call__(self, view: RolloutView) -> str:
        """The reason, a sentence; empty while it moves, and when all that moves it runs."""
        moved = (view.phase, view.weight, view.looks, view.next_at, view.shadow)
        if moved != self._moved:
            self._moved, self._since, self._words = moved, self._clock(), ""
        due = 0.0 if view.next_at is None else max(view.next_at - time.time(), 0.0)
        if view.over or due > 0.0 or self._clock() - self._since < STALL_SECONDS:
            return self._words
        self._since = self._clock()
        reason = self._why()
        self._words = sentence(reason) if reason else ""
        return self._words


def undriven(context: Context) -> str:
    """Which of the processes that move rollouts does not run; empty when both do."""
    found = {status.name: status for status in context.supervisor.status()}
    for name in DRIVERS:
        table = context.workspace.config.services.get(name)
        if table is not None and not table.enabled:
            return f"{name} is switched off in triune.toml, and nothing moves without it"
        status = found.get(name)
        if status is None or status.pid is None:
            return (
                f"{name} does not run, and nothing moves without it: `triune status` shows what "
                f"runs, `triune up` starts it, `triune logs {name}` says why it ended"
            )
        if not status.ready:
            return f"{name} is not ready: `triune logs {name}` says why"
    return ""
