"""Reading features by entity: one batched round trip, by a plan made once."""

from __future__ import annotations

import time

from triune.data.features.online.plan import Answer, Plan, Rows
from triune.data.features.online.ports import Place


class OnlineReader:
    """Reads from one place. Safe to use from several threads."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def read(self, plan: Plan, rows: Rows, *, now_us: int | None = None) -> Answer:
        """The plan's features of each entity.

        ``rows`` has, for each join key of the plan, a value for each entity; all lists are of one
        length. ``now_us`` (microseconds since 1970, default now) is what ages are counted to.

        Raises
        ------
        Unavailable: (``online-store-unreachable``) not within the place's timeout.
        KeyError: a join key is missing in ``rows``.
        """
        requests = plan.requests(rows)
        count = len(requests) // len(plan.groups) if plan.groups else 0
        found = self._place.fetch(requests)
        now = time.time_ns() // 1_000 if now_us is None else now_us
        return plan.answer(found, count, now)
