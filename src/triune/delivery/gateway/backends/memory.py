"""A gateway without a network: it keeps the table and answers who would be asked."""

from __future__ import annotations

from triune.core.errors import Unavailable
from triune.delivery.gateway.model import Counters, Table, Upstream


class MemoryGateway:
    """Keeps what was applied; ``reachable = False`` makes it behave like a dead one."""

    def __init__(self) -> None:
        self.table = Table()
        self.known: dict[str, Upstream] = {}
        self.counted: dict[str, Counters] = {}
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

    def upstreams(self) -> set[str]:
        """Names of the upstreams it could reach."""
        return set(self.known)

    def answers(self, path: str) -> Upstream | None:
        """The upstream with the most weight for a request path, None for no route."""
        for route in sorted(self.table.routes, key=lambda r: -len(r.endpoint)):
            if path.startswith(f"/{route.endpoint}/"):
                heaviest = max(route.targets, key=lambda target: target.weight)
                return self.known[heaviest.upstream]
        return None

    def _reach(self) -> None:
        if not self.reachable:
            raise Unavailable(
                "gateway-unreachable", "the gateway does not answer", hint="Run `triune up`."
            )
