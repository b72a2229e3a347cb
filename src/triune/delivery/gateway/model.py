"""The gateway's table: upstreams that can answer, and routes that say which of them do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from triune.core.errors import Refused

TOTAL_WEIGHT = 10_000

UNIT_HEADER = "x-triune-unit"
PREDICTION_HEADER = "x-triune-prediction"
RELEASE_HEADER = "x-triune-release"
ARM_HEADER = "x-triune-arm"
DEGRADED_HEADER = "x-triune-degraded"

NOT_FROM_CLIENTS = (
    PREDICTION_HEADER,
    RELEASE_HEADER,
    ARM_HEADER,
    DEGRADED_HEADER,
    "x-triune-bucket",
    "x-triune-endpoint",
    "x-triune-shadow",
)
"""Request headers that only Triune itself may set; the gateway removes a client's."""


@dataclass(frozen=True, slots=True)
class Upstream:
    """One model server the gateway can reach.

    ``name`` is unique in a table and made of lower-case letters, digits, ``-`` and ``_``;
    ``arm`` is the role callers see in ``x-triune-arm``; ``release`` is a lineage reference.
    """

    name: str
    host: str
    port: int
    arm: str
    release: str


@dataclass(frozen=True, slots=True)
class Target:
    """How many of 10,000 requests an upstream gets."""

    upstream: str
    weight: int


@dataclass(frozen=True, slots=True)
class Route:
    """Requests below ``/<endpoint>/`` go to these targets; the prefix is cut off."""

    endpoint: str
    targets: tuple[Target, ...]
    timeout_s: float = 15.0


@dataclass(frozen=True, slots=True)
class Table:
    """Everything the gateway has to know. Refused when it could lose a request."""

    upstreams: tuple[Upstream, ...] = ()
    routes: tuple[Route, ...] = ()

    def __post_init__(self) -> None:
        names = {upstream.name for upstream in self.upstreams}
        if len(names) != len(self.upstreams):
            raise _invalid("two upstreams share a name", _twice(u.name for u in self.upstreams))
        if len({route.endpoint for route in self.routes}) != len(self.routes):
            raise _invalid("two routes share an endpoint", _twice(r.endpoint for r in self.routes))
        for route in self.routes:
            unknown = {target.upstream for target in route.targets} - names
            if unknown:
                raise _invalid(f"unknown upstream {sorted(unknown)[0]!r}", route.endpoint)
            total = sum(target.weight for target in route.targets)
            if total != TOTAL_WEIGHT or any(target.weight < 0 for target in route.targets):
                raise _invalid(f"weights sum to {total}, not {TOTAL_WEIGHT}", route.endpoint)

    def upstream(self, name: str) -> Upstream:
        """The upstream of that name; `KeyError` when there is none."""
        return {upstream.name: upstream for upstream in self.upstreams}[name]


@dataclass(frozen=True, slots=True)
class Counters:
    """Answers of one upstream since the gateway knows it; ``errors`` are those with 5xx,
    the gateway's own answers for an upstream it could not reach among them."""

    total: int
    errors: int


def _twice(names: Iterable[str]) -> str:
    return Counter(names).most_common(1)[0][0]


def _invalid(what: str, where: str) -> Refused:
    return Refused(
        "gateway-table-invalid",
        f"the routing table is not valid: {what}",
        context=where,
        hint="Mend the endpoint's weights or upstreams; the gateway keeps its last table.",
    )
