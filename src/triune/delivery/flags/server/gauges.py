"""What the flag server counts, and the same in Prometheus's text format."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
"""Seconds from a request's head to its answer; streams are not among them."""


@dataclass
class Gauges:
    """Counters of one process. ``version`` and ``changed`` (seconds since 1970) are of the flags in
    force; ``ledger`` says whether the ledger answered when it was last asked."""

    requests: Counter[tuple[str, int]] = field(default_factory=Counter)
    evaluations: Counter[str] = field(default_factory=Counter)
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    seconds: float = 0.0
    streams: int = 0
    sent: int = 0
    cut: int = 0
    changes: int = 0
    flags: int = 0
    version: str = ""
    changed: float = 0.0
    ledger: bool = False

    def answered(self, route: str, status: int, seconds: float) -> None:
        """A request got its answer."""
        self.requests[route, status] += 1
        self.buckets[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds

    def took(self, version: str, flags: int) -> None:
        """Other flags are in force."""
        self.version, self.flags, self.changed = version, flags, time.time()
        self.changes += 1


def exposition(gauges: Gauges) -> str:
    """Prometheus's text format."""
    return "\n".join(_lines(gauges)) + "\n"


def _lines(gauges: Gauges) -> Iterator[str]:
    requests = {
        f'route="{route}",code="{code}"': count for (route, code), count in gauges.requests.items()
    }
    yield from _family("requests_total", "counter", "Answers by route and status.", requests)
    evaluations = {f'result="{result}"': count for result, count in gauges.evaluations.items()}
    words = "Flags evaluated by OFREP, by reason or error."
    yield from _family("evaluations_total", "counter", words, evaluations)
    yield from _latency(gauges)
    for name, kind, words, value in (
        ("streams", "gauge", "Processes that changes are pushed to.", gauges.streams),
        ("events_sent_total", "counter", "Configurations and changes pushed.", gauges.sent),
        ("streams_cut_total", "counter", "Streams ended as nobody read them.", gauges.cut),
        ("changes_total", "counter", "How often the flags became others.", gauges.changes),
        ("flags", "gauge", "Flags there are.", gauges.flags),
        ("changed_timestamp_seconds", "gauge", "When they last became others.", gauges.changed),
        ("ledger_up", "gauge", "Whether the ledger answers.", int(gauges.ledger)),
    ):
        yield from _family(name, kind, words, {"": value})
    version = {f'version="{gauges.version}"': 1} if gauges.version else {}
    yield from _family("configuration", "gauge", "The version in force.", version)


def _latency(gauges: Gauges) -> Iterator[str]:
    name = "triune_flags_request_seconds"
    yield f"# HELP {name} From a request's head to its answer."
    yield f"# TYPE {name} histogram"
    total = 0
    for bound, count in zip((*map(repr, BOUNDS), "+Inf"), gauges.buckets, strict=True):
        total += count
        yield f'{name}_bucket{{le="{bound}"}} {total}'
    yield f"{name}_count {total}"
    yield f"{name}_sum {gauges.seconds!r}"


def _family(name: str, kind: str, words: str, samples: Mapping[str, float]) -> Iterator[str]:
    name = f"triune_flags_{name}"
    yield f"# HELP {name} {words}"
    yield f"# TYPE {name} {kind}"
    for labels, value in samples.items():
        yield f"{name}{{{labels}}} {value!r}" if labels else f"{name} {value!r}"
