"""What a consumer counts, and the same for people and for Prometheus."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Seconds from when the broker got an event until it was readable online."""


@dataclass
class Gauges:
    """One stream's. ``lag`` is in messages; ``watermark_us`` in microseconds since 1970."""

    stream: str
    results: Counter[str] = field(default_factory=Counter)
    lag: dict[int, int] = field(default_factory=dict)
    watermark_us: int | None = None
    written: int = 0
    failed_values: int = 0
    last_message: float | None = None
    state: str = "starting"
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    seconds: float = 0.0
    began: float = field(default_factory=time.time)

    def took(self, seconds: float) -> None:
        """An event was readable so long after the broker had it."""
        self.buckets[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds

    def to_json(self) -> dict[str, Any]:
        """For `triune streams status`."""
        return {
            "stream": self.stream,
            "state": self.state,
            "results": dict(self.results),
            "lag": {str(partition): lag for partition, lag in self.lag.items()},
            "watermark_us": self.watermark_us,
            "written": self.written,
            "failed_values": self.failed_values,
            "last_message": self.last_message,
            "at": time.time(),
        }


def exposition(all_gauges: Iterable[Gauges], now: float) -> str:
    """Prometheus's text format."""
    known = list(all_gauges)
    lines = []
    for name, kind, words in _FAMILIES:
        lines += [f"# HELP {name} {words}", f"# TYPE {name} {kind}"]
        for one in known:
            lines += list(_samples(name, one, now))
    return "\n".join(lines) + "\n"


_FAMILIES = (
    ("triune_stream_lag", "gauge", "Messages that the topic has and that are not applied yet."),
    ("triune_stream_freshness_seconds", "gauge", "Age of the newest event time applied."),
    ("triune_stream_events_total", "counter", "Messages read, by what became of them."),
    ("triune_stream_rows_written_total", "counter", "Rows that changed something online."),
    ("triune_stream_failed_values_total", "counter", "Values missing as their transform failed."),
    ("triune_stream_latency_seconds", "histogram", "From the broker until readable online."),
)


def _samples(name: str, one: Gauges, now: float) -> Iterable[str]:
    label = f'stream="{one.stream}"'
    if name == "triune_stream_lag":
        for partition, lag in sorted(one.lag.items()):
            yield f'{name}{{{label},partition="{partition}"}} {lag}'
    elif name == "triune_stream_freshness_seconds":
        if one.watermark_us is not None:
            yield f"{name}{{{label}}} {now - one.watermark_us / 1e6:.3f}"
    elif name == "triune_stream_events_total":
        for result, count in sorted(one.results.items()):
            yield f'{name}{{{label},result="{result}"}} {count}'
    elif name == "triune_stream_rows_written_total":
        yield f"{name}{{{label}}} {one.written}"
    elif name == "triune_stream_failed_values_total":
        yield f"{name}{{{label}}} {one.failed_values}"
    else:
        yield from _histogram(name, label, one)


def _histogram(name: str, label: str, one: Gauges) -> Iterable[str]:
    total = 0
    for bound, count in zip((*map(str, BOUNDS), "+Inf"), one.buckets, strict=True):
        total += count
        yield f'{name}_bucket{{{label},le="{bound}"}} {total}'
    yield f"{name}_sum{{{label}}} {one.seconds:.6f}"
    yield f"{name}_count{{{label}}} {total}"
