"""From the endpoints' states to the gateway: what it must route, and keeping it so."""

from __future__ import annotations

from collections.abc import Iterable

from triune.core.errors import Unavailable
from triune.core.waiting import wait_until
from triune.delivery.gateway.model import Mirror, Route, Table, Target, Upstream
from triune.delivery.gateway.ports import Gateway
from triune.delivery.state import Arm, EndpointState, Role, mirrored, shares, upstreams
from triune.delivery.store import EndpointStore

DRAIN_SECONDS = 20.0
_QUIET_READINGS = 3


def table(states: Iterable[EndpointState]) -> Table:
    """The table that serves these states."""
    arms: dict[str, Upstream] = {}
    routes = []
    for state in states:
        arms |= {arm.upstream: _upstream(arm, role) for arm, role in upstreams(state)}
        targets = tuple(Target(share.arm.upstream, share.weight) for share in shares(state))
        if targets:
            routes.append(Route(state.endpoint, targets, mirror=_mirror(state)))
    return Table(tuple(arms[name] for name in sorted(arms)), tuple(routes))


def _mirror(state: EndpointState) -> Mirror | None:
    arm = mirrored(state)
    return Mirror(arm.upstream, state.pending.mirror) if arm and state.pending else None


def _upstream(arm: Arm, role: Role) -> Upstream:
    return Upstream(arm.upstream, "127.0.0.1", arm.port, role.value, arm.release)


class Routing:
    """Makes the gateway follow the state files. Safe from any number of processes."""

    def __init__(self, store: EndpointStore, gateway: Gateway) -> None:
        self._store = store
        self.gateway = gateway

    def publish(self) -> None:
        """Apply the table of all endpoints as they are now; live when it returns."""
        with self._store.gateway_locked():
            self.gateway.apply(table(self._store.all()))

    def drain(self, arm: Arm, *, timeout: float = DRAIN_SECONDS) -> None:
        """Wait until an arm without a route has answered its last request, then forget it.

        After ``timeout`` seconds it is forgotten all the same: what has not been answered by
        then is past the gateway's own deadline.
        """
        quiet = 0

        def ended() -> bool:
            nonlocal quiet
            quiet = quiet + 1 if self.gateway.in_flight(arm.upstream) == 0 else 0
            return quiet >= _QUIET_READINGS

        try:
            wait_until(
                ended,
                timeout=timeout,
                what=f"{arm.process} answers its last request",
                first_pause=0.03,
                longest_pause=0.1,
            )
        except Unavailable as error:
            if error.reference != "wait-timed-out":
                raise
        with self._store.gateway_locked():
            wanted = table(self._store.all())
            if arm.upstream not in {upstream.name for upstream in wanted.upstreams}:
                self.gateway.prune(wanted)
