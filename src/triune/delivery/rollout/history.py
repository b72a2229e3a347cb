"""An endpoint's traffic before a rollout, from the ledger: how much, how good, how it scatters."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import msgspec
import numpy as np
from numpy.typing import NDArray

from triune.core.assignment import TOTAL, bucket
from triune.core.rollout_config import MetricName
from triune.delivery.accesslog import FAILED, SERVED
from triune.delivery.ports import Log
from triune.delivery.rollout.model import LATENCIES, Definition
from triune.ledger.envelope import Event
from triune.ledger.ports import Query
from triune.stats.dispersion import phi
from triune.stats.split import Offset, Units, offset

WINDOW_SECONDS = 600.0
MOST = 100_000
LEAST_TICKS = 20
"""Below this many ticks the scatter itself is not known, and the definition's phi holds."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One answer: when (seconds since 1970), for whom, by which instance, how it went."""

    at: float
    unit: str | None
    instance: str | None
    milliseconds: float | None
    failed: bool
    degraded: bool
    half: int
    bucket: int


@dataclass(frozen=True, slots=True)
class Traffic:
    """What an endpoint answered in the last minutes. Times in milliseconds, rates a second."""

    seconds: float
    requests: int
    errors: int
    units: int
    anonymous: int
    p50_ms: float | None
    p90_ms: float | None
    p99_ms: float | None

    @property
    def rate(self) -> float:
        return self.requests / self.seconds if self.seconds else 0.0

    @property
    def error_rate(self) -> float:
        return self.errors / self.requests if self.requests else 0.0


def answers(
    log: Log,
    endpoint: str,
    *,
    now: float,
    seconds: float = WINDOW_SECONDS,
    release: str | None = None,
) -> list[Seen]:
    """The endpoint's answers in the ``seconds`` before ``now``, in time order; only those of one
    release, and those that no release gave, when it is named.

    Of very many only the newest `MOST` good ones, and the failures since the oldest of them.
    """
    since = round((now - seconds) * 1e6)
    until = round(now * 1e6)

    def found(kind: str, since: int) -> Iterator[Seen]:
        for stored in log.select(Query(kind=kind, since=since, until=until, newest_first=True)):
            payload = stored.event.payload
            if payload.get("endpoint") == endpoint and (
                release is None or payload.get("release") in (release, None)
            ):
                yield _seen(stored.event, endpoint)

    served = list(islice(found(SERVED, since), MOST))
    if len(served) == MOST:
        since = round(served[-1].at * 1e6)
    return sorted([*served, *found(FAILED, since)], key=lambda seen: seen.at)


def _seen(event: Event, endpoint: str) -> Seen:
    payload = event.payload
    unit = payload.get("unit") or None
    return Seen(
        at=event.time / 1e6,
        unit=unit,
        instance=payload.get("instance"),
        milliseconds=payload.get("duration_ms"),
        failed=event.kind == FAILED,
        degraded=bool(payload.get("degraded")),
        half=bucket(f"half of {endpoint}", unit or event.id) % 2,
        bucket=bucket(endpoint, unit) if unit else 0,
    )


def traffic(seen: Sequence[Seen], *, now: float) -> Traffic:
    """The answers in a few numbers; the time runs from the first of them until now."""
    times = [one.milliseconds for one in seen if one.milliseconds is not None]
    levels: Sequence[float | None] = (None, None, None)
    if times:
        levels = [round(float(q), 3) for q in np.quantile(times, [0.5, 0.9, 0.99])]
    return Traffic(
        seconds=max(now - seen[0].at, 1.0) if seen else 0.0,
        requests=len(seen),
        errors=sum(one.failed for one in seen),
        units=len({one.unit for one in seen if one.unit}),
        anonymous=sum(one.unit is None for one in seen),
        p50_ms=levels[0],
        p90_ms=levels[1],
        p99_ms=levels[2],
    )


def dispersions(seen: Iterable[Seen], tick_s: float) -> Mapping[MetricName, float]:
    """How the stable arm's events scatter between two halves of it, for each metric.

    The halves are its instances where it has several, else the halves of its units: units are
    what a canary splits. A metric with fewer than `LEAST_TICKS` ticks is left out.
    """
    everyone = list(seen)
    ticks = _ticks(everyone, tick_s)
    found = {}
    several = len({one.instance for one in everyone if one.instance}) > 1
    for name in MetricName:
        halves = [_split(name, tick, several) for tick in ticks]
        rows = [row for row in halves if row is not None]
        if rows:
            first, both, share, total = zip(*rows, strict=True)
            estimate = phi(first, both, share, total)
            if estimate.ticks >= LEAST_TICKS:
                found[name] = estimate.phi
    return found


def _ticks(seen: Sequence[Seen], tick_s: float) -> list[list[Seen]]:
    width = _width(seen, tick_s)
    ticks: dict[int, list[Seen]] = defaultdict(list)
    for one in seen:
        ticks[int(one.at // width)].append(one)
    return list(ticks.values())


def _width(seen: Sequence[Seen], tick_s: float) -> float:
    """How long a stretch of the history is: a tick, or less where there is too little of it.

    Below a second only where very many answers fill less than half a minute: what clusters for
    longer than a stretch is underestimated then, but not left out.
    """
    span = seen[-1].at - seen[0].at if seen else 0.0
    if span <= 0.0:
        return tick_s
    shortest = min(1.0, span / (1.5 * LEAST_TICKS))
    return min(tick_s, max(span / (2 * LEAST_TICKS), shortest))


def _split(
    name: MetricName, tick: Sequence[Seen], several: bool
) -> tuple[int, int, float, int] | None:
    """Events of the first half and of both, the first half's share, and all requests.

    What no instance has answered, since the gateway did, is in neither half of the instances.
    """
    if several:
        tick = [one for one in tick if one.instance]
    bad = _bad(name, tick) if tick else None
    if bad is None:
        return None
    odd = set(sorted({one.instance or "" for one in tick})[::2])
    first = [one.instance in odd if several else one.half == 0 for one in tick]
    events = sum(bad)
    mine = sum(1 for is_bad, is_first in zip(bad, first, strict=True) if is_bad and is_first)
    return mine, events, sum(first) / len(tick), len(tick)


def _bad(name: MetricName, tick: Sequence[Seen]) -> list[bool] | None:
    """Which requests went wrong in a metric's way; None for one that answers do not show. Timeouts
    are errors, and scatter like them."""
    quantile = LATENCIES.get(name)
    if quantile is not None:
        times = [one.milliseconds or 0.0 for one in tick]
        threshold = float(np.quantile(times, quantile))
        return [time > threshold for time in times]
    if name in (MetricName.ERRORS, MetricName.TIMEOUTS):
        return [one.failed for one in tick]
    if name is MetricName.DEGRADED:
        return [one.degraded for one in tick]
    return None


def offsets(
    seen: Iterable[Seen], definition: Definition
) -> Mapping[MetricName, tuple[Offset, ...]]:
    """For each metric and step, how the units that the candidate will get fared against control's.

    Control's are all others, or with a fresh baseline as many from the other end.
    """
    units = [one for one in seen if one.unit is not None]
    ticks = _ticks(units, definition.tick_s)
    found = {}
    for name in MetricName:
        totals = _by_bucket(name, ticks)
        if totals is not None:
            found[name] = tuple(
                _offset(*totals, step, definition.baseline) for step in definition.steps
            )
    return found


def _by_bucket(
    name: MetricName, ticks: Iterable[Sequence[Seen]]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]] | None:
    """Bucket, requests and events of each unit; None for what answers do not show."""
    requests: Counter[tuple[int, str]] = Counter()
    events: Counter[tuple[int, str]] = Counter()
    for tick in ticks:
        bad = _bad(name, tick)
        if bad is None:
            return None
        for one, is_bad in zip(tick, bad, strict=True):
            key = one.bucket, one.unit or ""
            requests[key] += 1
            events[key] += is_bad
    rows = [(key[0], n, events[key]) for key, n in requests.items()]
    table = np.array(rows, dtype=np.int64).reshape(-1, 3)
    return table[:, 0], table[:, 1], table[:, 2]


def _offset(
    bucket: NDArray[np.int64],
    n: NDArray[np.int64],
    k: NDArray[np.int64],
    weight: int,
    baseline: bool,
) -> Offset:
    mine = bucket < weight
    compared = mine | (bucket >= TOTAL - weight) if baseline else np.ones(len(bucket), bool)
    return offset(Units(n[compared], k[compared], mine[compared]))


def prior(definition: Definition, seen: Sequence[Seen]) -> Definition:
    """The definition with what the answers before the candidate say: phi and offsets."""
    with_phi = tempered(definition, dispersions(seen, definition.tick_s))
    found = offsets(seen, definition)
    metrics = tuple(
        msgspec.structs.replace(
            metric,
            offsets=tuple((round(o.low, 4), round(o.high, 4)) for o in found.get(metric.name, ())),
        )
        for metric in with_phi.metrics
    )
    return msgspec.structs.replace(with_phi, metrics=metrics)


def tempered(definition: Definition, found: Mapping[MetricName, float]) -> Definition:
    """The definition with each metric's phi as estimated, at least the one it asks for."""
    metrics = tuple(
        msgspec.structs.replace(
            metric, phi=round(max(definition.phi, found.get(metric.name, 1.0)), 4)
        )
        for metric in definition.metrics
    )
    return msgspec.structs.replace(definition, metrics=metrics)
