"""Traffic in slices of time: counts, latencies and errors by release. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from triune.app.replay.model import Record

WIDTHS = (0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
MOST_SLICES = 120
FEWEST_FOR_LATENCY = 5


@dataclass(frozen=True, slots=True)
class Cell:
    """One release in one slice; latencies in milliseconds, None with too few answers."""

    good: int
    p50: float | None
    p99: float | None


@dataclass(frozen=True, slots=True)
class Slice:
    """From ``begin``, in seconds since the first request, for ``width`` seconds.

    The last one is as short as the traffic left it.
    """

    begin: float
    width: float
    cells: dict[str, Cell]
    failed: int
    lost: int

    @property
    def good(self) -> int:
        return sum(cell.good for cell in self.cells.values())


@dataclass(frozen=True, slots=True)
class Traffic:
    """A whole replay, cut into slices. ``origin`` is in seconds since 1970."""

    origin: float
    seconds: float
    width: float
    slices: tuple[Slice, ...]
    releases: tuple[str, ...]
    sent: int
    good: int
    failed: int
    lost: int
    degraded: int
    p50: float | None = None
    p99: float | None = None
    by_release: dict[str, int] = field(default_factory=dict)


def cut(records: Iterable[Record]) -> Traffic | None:
    """The traffic of these records; None when there are none."""
    every = sorted(records, key=lambda record: record.sent)
    if not every:
        return None
    origin = every[0].sent / 1e6
    seconds = max((every[-1].sent - every[0].sent) / 1e6, 0.001)
    width = next((w for w in WIDTHS if seconds / w <= MOST_SLICES), WIDTHS[-1])
    groups: dict[int, list[Record]] = defaultdict(list)
    for record in every:
        groups[int((record.sent / 1e6 - origin) / width)].append(record)
    last = max(groups)
    good = [record for record in every if record.good]
    counts: dict[str, int] = {}
    for record in good:
        counts[record.release] = counts.get(record.release, 0) + 1
    latencies = sorted(record.took for record in good)
    return Traffic(
        origin=origin,
        seconds=seconds,
        width=width,
        slices=tuple(
            _slice(i * width, min(width, max(seconds - i * width, width / 10)), groups.get(i, []))
            for i in range(last + 1)
        ),
        releases=tuple(counts),
        sent=len(every),
        good=len(good),
        failed=sum(record.answered and not record.good for record in every),
        lost=sum(not record.answered for record in every),
        degraded=sum(record.degraded for record in every),
        p50=quantile(latencies, 0.5),
        p99=quantile(latencies, 0.99),
        by_release=counts,
    )


def _slice(begin: float, width: float, records: Sequence[Record]) -> Slice:
    took: dict[str, list[int]] = {}
    for record in records:
        if record.good:
            took.setdefault(record.release, []).append(record.took)
    return Slice(
        begin=begin,
        width=width,
        cells={release: _cell(sorted(values)) for release, values in took.items()},
        failed=sum(record.answered and not record.good for record in records),
        lost=sum(not record.answered for record in records),
    )


def _cell(latencies: list[int]) -> Cell:
    if len(latencies) < FEWEST_FOR_LATENCY:
        return Cell(len(latencies), None, None)
    return Cell(len(latencies), quantile(latencies, 0.5), quantile(latencies, 0.99))


def quantile(ordered: Sequence[int], share: float) -> float | None:
    """A quantile of sorted microseconds, in milliseconds; None of nothing."""
    if not ordered:
        return None
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] / 1000
