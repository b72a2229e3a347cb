"""A gateway without a network: it keeps the table and answers who would be asked."""

from __future__ import annotations

from itertools import accumulate

from triune.core.assignment import bucket
from triune.core.errors import Unavailable
from triune.delivery.gateway.model import (
    Counters,
    Route,
    Snapshot,
    Stratum,
    Table,
    Tally,
    Upstream,
)


class MemoryGateway:
    """Keeps what was applied; ``reachable = False`` makes it behave like a dead one.

    What `counters` and `snapshot` tell is what was put into ``counted``, ``tallies`` and ``epoch``.
    """

    def __init__(self) -> None:
        self.table = Table()
        self.known: dict[str, Upstream] = {}
        self.counted: dict[str, Counters] = {}
        self.tallies: dict[tuple[str, Stratum], Tally] = {}
        self.epoch = "1"
        self.reachable = True

    def apply(self, table: Table) -> None:
        self._reach()
        self.known |= {upstream.name: upstream for upstream in table.upstreams}
        self.table = table

    def prune(self, table: Table) -> None:
        self._reach()
        self.known = {upstream.name: upstream for upstream in table.upstreams}

    def in_flight(self, upstream: str) -> int:  # noqa: ARG002
        self._reach()
        return 0

    def counters(self, upstream: str) -> Counters:
        self._reach()
        return self.counted.get(upstream, Counters(0, 0))

    def snapshot(self) -> Snapshot:
        self._reach()
        return Snapshot(self.epoch, dict(self.tallies))

    def upstreams(self) -> set[str]:
        """Names of the upstreams it could reach."""
        return set(self.known)

    def answers(self, path: str, unit: str = "") -> Upstream | None:
        """The upstream for a request path and unit, None for no route.

        Without a unit it is the one with the most weight.
        """
        for route in sorted(self.table.routes, key=lambda r: -len(r.endpoint)):
            if path.startswith(f"/{route.endpoint}/"):
                return self.known[_chosen(route, unit)]
        return None

    def _reach(self) -> None:
        if not self.reachable:
            raise Unavailable(
                "gateway-unreachable", "the gateway does not answer", hint="Run `triune up`."
            )


def _chosen(route: Route, unit: str) -> str:
    if not unit:
        return max(route.targets, key=lambda target: target.weight).upstream
    place = bucket(route.endpoint, unit)
    ends = accumulate(target.weight for target in route.targets)
    return next(t.upstream for t, end in zip(route.targets, ends, strict=True) if place < end)
