"""Counters as text for Prometheus: its own format, or OpenMetrics when asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from triune.models.serving.board import (
    BUCKETS,
    CODE_CELL,
    DEGRADED_CELL,
    DROPPED_CELL,
    LOOKUP_CELL,
    Board,
    Cell,
)
from triune.models.serving.spec import ServingSpec

PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


@dataclass(frozen=True, slots=True)
class _Family:
    name: str
    kind: str
    help: str
    samples: tuple[tuple[str, str, float], ...]
    """Suffix, labels and value of each."""


def exposition(
    board: Board, spec: ServingSpec, *, form: str, open_metrics: bool
) -> tuple[str, bytes]:
    """Content type and text of all metrics, summed over the workers."""
    lines: list[str] = []
    for family in _families(board, spec, form):
        counter = family.kind == "counter"
        name = family.name if open_metrics or not counter else f"{family.name}_total"
        lines += [f"# HELP {name} {family.help}", f"# TYPE {name} {family.kind}"]
        lines += [
            f"{family.name}{suffix}{labels} {_number(value)}"
            for suffix, labels, value in family.samples
        ]
    if open_metrics:
        lines.append("# EOF")
    return OPEN_METRICS if open_metrics else PROMETHEUS, ("\n".join(lines) + "\n").encode()


def _families(board: Board, spec: ServingSpec, form: str) -> Iterator[_Family]:
    who = {"endpoint": spec.endpoint, "arm": spec.arm}

    def one(value: float, suffix: str = "", **more: str) -> tuple[str, str, float]:
        return suffix, _labels(who | more), value

    yield _Family(
        "triune_serving_requests",
        "counter",
        "Prediction requests by status code.",
        tuple(one(board.total(cell), "_total", code=str(code)) for code, cell in CODE_CELL.items()),
    )
    yield _latency(board, who)
    yield _Family(
        "triune_serving_rows",
        "counter",
        "Rows predicted.",
        (one(board.total(Cell.ROWS), "_total"),),
    )
    yield _Family(
        "triune_serving_degraded",
        "counter",
        "Answers of the fallback model by reason.",
        tuple(
            one(board.total(cell), "_total", reason=reason)
            for reason, cell in DEGRADED_CELL.items()
        ),
    )
    yield _Family(
        "triune_serving_in_flight",
        "gauge",
        "Prediction requests being worked on.",
        (one(board.total(Cell.IN_FLIGHT)),),
    )
    yield from _samples(board, one)
    if spec.online is not None:
        yield from _lookups(board, one)
    release = {"release": spec.release, "model": spec.model.ref, "form": form}
    yield _Family("triune_serving_model", "gauge", "What is served.", (one(1.0, "", **release),))
    yield from _processes(board, one)


def _latency(board: Board, who: dict[str, str]) -> _Family:
    samples: list[tuple[str, str, float]] = []
    count = 0.0
    for place, bound in enumerate((*BUCKETS, None)):
        count += board.total(Cell.FIRST_BUCKET + place)
        edge = "+Inf" if bound is None else repr(bound)
        samples.append(("_bucket", _labels(who | {"le": edge}), count))
    samples.append(("_count", _labels(who), count))
    samples.append(("_sum", _labels(who), board.total(Cell.SECONDS)))
    return _Family(
        "triune_serving_latency_seconds",
        "histogram",
        "From the request's head to its answer.",
        tuple(samples),
    )


def _samples(board: Board, one: Any) -> Iterator[_Family]:
    yield _Family(
        "triune_serving_samples",
        "counter",
        "Answers kept for comparison.",
        (one(board.total(Cell.SAMPLED), "_total"),),
    )
    yield _Family(
        "triune_serving_samples_dropped",
        "counter",
        "Answers that should have been kept and were not, by reason.",
        tuple(
            one(board.total(cell), "_total", reason=reason) for reason, cell in DROPPED_CELL.items()
        ),
    )


def _lookups(board: Board, one: Any) -> Iterator[_Family]:
    yield _Family(
        "triune_serving_feature_lookups",
        "counter",
        "Requests whose features were looked up, by how that went.",
        tuple(one(board.total(cell), "_total", state=state) for state, cell in LOOKUP_CELL.items()),
    )
    yield _Family(
        "triune_serving_feature_lookup_seconds",
        "counter",
        "Time that looking features up took.",
        (one(board.total(Cell.LOOKUP_SECONDS), "_total"),),
    )


def _processes(board: Board, one: Any) -> Iterator[_Family]:
    import psutil

    cpu, memory = [], []
    for index in range(board.workers):
        pid = int(board.row(index)[Cell.PID])
        if not pid or not Path(f"/proc/{pid}").exists():
            continue
        try:
            process = psutil.Process(pid)
            times = process.cpu_times()
            cpu.append(one(times.user + times.system, "_total", worker=str(index)))
            memory.append(one(float(process.memory_info().rss), "", worker=str(index)))
        except psutil.NoSuchProcess:  # it died between the two looks
            continue
    yield _Family(
        "triune_serving_cpu_seconds", "counter", "Processor time of each worker.", tuple(cpu)
    )
    yield _Family(
        "triune_serving_memory_bytes", "gauge", "Resident memory of each worker.", tuple(memory)
    )


def _labels(labels: dict[str, str]) -> str:
    pairs = ",".join(f'{key}="{_escaped(value)}"' for key, value in labels.items())
    return f"{{{pairs}}}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
