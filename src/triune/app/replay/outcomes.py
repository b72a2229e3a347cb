"""Outcomes, told to the ledger on a compressed clock."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from triune.app.replay.model import Request
from triune.ledger.envelope import Event, event

ACTOR = "service:replay"


@dataclass
class Outcomes:
    """Outcomes that are known but not yet due.

    Parameters
    ----------
    append: hands an event to the ledger
    workspace, endpoint: what the events are about
    hour_seconds: how many seconds an hour of recorded time takes until an outcome is told
    """

    append: Callable[[Event], None]
    workspace: str
    endpoint: str
    hour_seconds: float
    told: int = 0
    _waiting: list[tuple[float, int, str, dict[str, Any]]] = field(default_factory=list)
    _order: itertools.count[int] = field(default_factory=itertools.count)

    @property
    def pending(self) -> int:
        """How many wait for their time."""
        return len(self._waiting)

    def expect(
        self, request: Request, prediction: str, predicted: float | None, now: float
    ) -> None:
        """Tell this request's outcome later; nothing to do when none ever became known."""
        if request.outcome is None or not prediction:
            return
        payload: dict[str, Any] = {
            "endpoint": self.endpoint,
            "unit": request.unit,
            "name": request.outcome_name,
            "value": request.outcome,
        }
        if predicted is not None:
            payload["predicted"] = predicted
        due = now + request.outcome_delay_s / 3600 * self.hour_seconds
        heapq.heappush(self._waiting, (due, next(self._order), prediction, payload))

    def tell(self, now: float) -> None:
        """Hand over every outcome that is due."""
        while self._waiting and self._waiting[0][0] <= now:
            _, _, prediction, payload = heapq.heappop(self._waiting)
            self.append(self._observed(prediction, payload))
            self.told += 1

    def tell_all(self) -> None:
        """Hand over what is left, due or not: the replay ends."""
        self.tell(float("inf"))

    def _observed(self, prediction: str, payload: dict[str, Any]) -> Event:
        return event(
            "outcome.observed",
            f"prediction:{prediction}",
            workspace=self.workspace,
            actor=ACTOR,
            payload=payload,
        )
