"""Running the model for checked requests: inline, or on a worker thread under a deadline.

What a caller gets when the primary is late, raises, or has a full queue:

==========================  ==============================  ===========================
the primary                 with a fallback model           without one
==========================  ==============================  ===========================
is late                     its answer, ``deadline``        504 ``deadline-exceeded``
raises                      its answer, ``error``           500 ``model-failed``
has ``max_pending`` waiting its answer, ``shed``            503 ``model-overloaded``
==========================  ==============================  ===========================
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Thread
from time import perf_counter
from typing import Any

from triune.models.serving.faults import deadline_exceeded, model_failed, overloaded
from triune.models.serving.ports import Model
from triune.models.serving.protocol.answers import finite, floats
from triune.models.serving.protocol.contract import Contract
from triune.models.serving.tensors import TensorSpec, Values

log = logging.getLogger("triune.serving")

SLOW_SECONDS = 0.05
SLOW_RUNS = 3


class NotFinite(Exception):
    """A model gave NaN or an infinity for finite inputs."""


class Bound:
    """A model that picks its inputs out of the endpoint's contract."""

    def __init__(self, model: Model, contract: Contract) -> None:
        self.model = model
        self.outputs: tuple[TensorSpec, ...] = model.outputs
        self.main = model.main_output
        self._floats = floats(self.outputs)
        pick = [contract.index[spec.name] for spec in model.inputs]
        self._pick = None if pick == list(range(len(contract.inputs))) else pick

    def predict(self, values: Sequence[Values], rows: int) -> list[Values]:
        """The model's outputs; raises what it raises, or `NotFinite`."""
        if self._pick is not None:
            values = [values[place] for place in self._pick]
        answers = self.model.predict(values, rows)
        if not finite(answers, self._floats):
            raise NotFinite
        return answers


@dataclass(slots=True)
class Answer:
    """What goes out: the values, whose they are, and why it was not the primary."""

    bound: Bound
    values: list[Values]
    degraded: str | None = None


class Engine:
    """The primary model, an optional fallback, and how long to wait."""

    def __init__(
        self,
        primary: Bound,
        fallback: Bound | None,
        *,
        deadline_ms: float | None,
        inline: bool,
        max_pending: int,
    ) -> None:
        self.primary = primary
        self.fallback = fallback
        self.inline = inline and deadline_ms is None
        self._deadline_ms = deadline_ms
        self._max_pending = max_pending
        self._lane = None if self.inline else Lane(primary, max_pending)
        self._slow_runs = 0

    def now(self, values: list[Values], rows: int, prediction: str) -> Answer:
        """The answer, computed in the calling thread; for engines that are `inline`.

        A model that keeps the event loop waiting for long a few times moves to a thread.
        """
        began = perf_counter()
        try:
            return Answer(self.primary, self.primary.predict(values, rows))
        except Exception:
            log.exception("the model raised, prediction %s", prediction)
        finally:
            if perf_counter() - began > SLOW_SECONDS:
                self._note_slow_run()
        return self._instead("error", values, rows, prediction)

    def share_interpreter(self) -> None:
        """Set how eagerly this process's threads take turns.

        Without a lane only granian's I/O thread wants the interpreter, and gets it at every
        wait anyway: forced turns would cost an eighth of the processor time. With a lane they
        are what lets a deadline fire.
        """
        sys.setswitchinterval(0.1 if self.inline else 0.005)

    def _note_slow_run(self) -> None:
        self._slow_runs += 1
        if self._slow_runs >= SLOW_RUNS and self.inline:
            log.info("the model is slow at times: it runs on a thread from now on")
            self._lane = Lane(self.primary, self._max_pending)
            self.inline = False
            self.share_interpreter()

    async def later(self, values: list[Values], rows: int, prediction: str) -> Answer:
        """The answer of the primary on its thread, or of the fallback when it is late."""
        lane = self._lane
        if lane is None:
            return self.now(values, rows, prediction)
        ticket = lane.submit(values, rows)
        if ticket is None:
            return self._instead("shed", values, rows, prediction)
        timeout = None if self._deadline_ms is None else self._deadline_ms / 1000
        done, _ = await asyncio.wait((ticket.future,), timeout=timeout)
        if not done:
            ticket.abandoned = True
            return self._instead("deadline", values, rows, prediction)
        error = ticket.future.exception()
        if error is None:
            return Answer(self.primary, ticket.future.result())
        log.error("the model raised, prediction %s", prediction, exc_info=error)
        return self._instead("error", values, rows, prediction)

    def _instead(self, reason: str, values: list[Values], rows: int, prediction: str) -> Answer:
        if self.fallback is None:
            if reason == "deadline":
                raise deadline_exceeded(self._deadline_ms or 0.0)
            raise overloaded() if reason == "shed" else model_failed()
        try:
            return Answer(self.fallback, self.fallback.predict(values, rows), reason)
        except Exception:
            log.exception("the fallback model raised, prediction %s", prediction)
            raise model_failed() from None


class Ticket:
    """One request's place in the lane."""

    __slots__ = ("abandoned", "future", "rows", "values")

    def __init__(self, values: list[Values], rows: int, future: asyncio.Future[Any]) -> None:
        self.values = values
        self.rows = rows
        self.future = future
        self.abandoned = False


class Lane:
    """One daemon thread that runs the primary, and a bounded queue before it.

    A request that was given up is skipped when its turn comes; one that is running cannot be
    stopped, so a hung model fills the lane and everything after it is shed at once.
    """

    def __init__(self, bound: Bound, limit: int) -> None:
        self._bound = bound
        self._limit = limit
        self._pending = 0
        self._queue: SimpleQueue[Ticket] = SimpleQueue()
        Thread(target=self._run, name="triune-model", daemon=True).start()

    def submit(self, values: list[Values], rows: int) -> Ticket | None:
        """Queue a request of the running event loop; None when the lane is full."""
        if self._pending >= self._limit:
            return None
        self._pending += 1
        ticket = Ticket(values, rows, asyncio.get_running_loop().create_future())
        self._queue.put(ticket)
        return ticket

    def _run(self) -> None:
        while True:
            ticket = self._queue.get()
            result: list[Values] = []
            error: Exception | None = None
            if not ticket.abandoned:
                try:
                    result = self._bound.predict(ticket.values, ticket.rows)
                except Exception as raised:
                    error = raised
            loop = ticket.future.get_loop()
            if loop.is_closed():
                return
            loop.call_soon_threadsafe(self._settle, ticket, result, error)

    def _settle(self, ticket: Ticket, result: list[Values], error: Exception | None) -> None:
        self._pending -= 1
        if ticket.future.done() or ticket.abandoned:
            return
        if error is None:
            ticket.future.set_result(result)
        else:
            ticket.future.set_exception(error)
