"""The gateway's table: upstreams that can answer, and routes that say which of them do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from triune.core.assignment import TOTAL
from triune.core.errors import Refused

TOTAL_WEIGHT = TOTAL

UNIT_HEADER = "x-triune-unit"
PREDICTION_HEADER = "x-triune-prediction"
RELEASE_HEADER = "x-triune-release"
ARM_HEADER = "x-triune-arm"
DEGRADED_HEADER = "x-triune-degraded"
BUCKET_HEADER = "x-triune-bucket"
SHADOW_HEADER = "x-triune-shadow"

NOT_FROM_CLIENTS = (
    PREDICTION_HEADER,
    RELEASE_HEADER,
    ARM_HEADER,
    DEGRADED_HEADER,
    BUCKET_HEADER,
    SHADOW_HEADER,
    "x-triune-endpoint",
    "x-triune-stratum",
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
class Mirror:
    """``share`` of 10,000 requests, chosen by chance, are also sent to an upstream whose answers
    nobody waits for. Both copies have ``x-triune-shadow: 1`` and the same ``x-request-id``."""

    upstream: str
    share: int


@dataclass(frozen=True, slots=True)
class Route:
    """Requests below ``/<endpoint>/`` go to these targets; the prefix is cut off.

    The targets lie one behind the other on the buckets 0 to 9999: the first has ``[0, w1)``,
    the second ``[w1, w1 + w2)``. A unit's bucket is `triune.core.assignment.bucket` of the
    endpoint's name and the unit, so while the first target's weight only rises no unit that
    reached it is ever sent elsewhere. A request without a unit gets a random bucket.
    """

    endpoint: str
    targets: tuple[Target, ...]
    timeout_s: float = 15.0
    mirror: Mirror | None = None


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
            unknown = _named(route) - names
            if unknown:
                raise _invalid(f"unknown upstream {sorted(unknown)[0]!r}", route.endpoint)
            total = sum(target.weight for target in route.targets)
            if total != TOTAL_WEIGHT or any(target.weight < 0 for target in route.targets):
                raise _invalid(f"weights sum to {total}, not {TOTAL_WEIGHT}", route.endpoint)
            if route.mirror and not 0 <= route.mirror.share <= TOTAL_WEIGHT:
                share = route.mirror.share
                raise _invalid(f"{share} of {TOTAL_WEIGHT} requests mirrored", route.endpoint)

    def upstream(self, name: str) -> Upstream:
        """The upstream of that name; `KeyError` when there is none."""
        return {upstream.name: upstream for upstream in self.upstreams}[name]


@dataclass(frozen=True, slots=True)
class Counters:
    """Answers of one upstream since the gateway knows it; ``errors`` are those with 5xx,
    the gateway's own answers for an upstream it could not reach among them."""

    total: int
    errors: int


class Stratum(StrEnum):
    """Which requests are counted together; a candidate is only compared within one."""

    UNIT = "unit"
    ANONYMOUS = "anonymous"


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of the requests of one upstream in one stratum, since the gateway started.

    Counted once for each caller's request, after retries. ``errors`` are answers with 5xx, the
    gateway's own for an upstream that did not answer among them, and answers that the upstream
    broke off; ``timeouts`` those of them that came too late (504, or broken off by the route's
    deadline); ``degraded`` answers of the fallback. ``latency`` maps the lower edge of a bin of
    the gateway's histogram, in microseconds from a request's first byte to its answer's last, to
    its count; its sum is ``requests`` without those that broke off, which have no time.
    ``abandoned`` are requests that callers gave up on before the whole answer was there; they are
    in none of the other numbers. The copies that a mirror gets are not counted.
    """

    requests: int = 0
    errors: int = 0
    timeouts: int = 0
    degraded: int = 0
    latency: Mapping[float, int] = field(default_factory=dict)
    abandoned: int = 0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All tallies at one moment. ``epoch`` is another one after every start of the gateway:
    then every tally has begun again from zero."""

    epoch: str
    tallies: Mapping[tuple[str, Stratum], Tally]


def _named(route: Route) -> set[str]:
    mirror = {route.mirror.upstream} if route.mirror else set()
    return {target.upstream for target in route.targets} | mirror


def _twice(names: Iterable[str]) -> str:
    return Counter(names).most_common(1)[0][0]


def _invalid(what: str, where: str) -> Refused:
    return Refused(
        "gateway-table-invalid",
        f"the routing table is not valid: {what}",
        context=where,
        hint="Mend the endpoint's weights or upstreams; the gateway keeps its last table.",
    )
