"""The model server against others: same model, same row, same load, one run.

A scikit-learn LogisticRegression on 20 floats, one row as JSON, 32 keep-alive connections,
one worker, all headers and metrics on; and HistGradientBoosting, which has no ONNX form, so
that scikit-learn computes on both sides. Rounds are interleaved, so that a noisy machine is
noisy for all; figures are medians of the rounds, CPU is of the server's whole process tree.

    .venv/bin/python bench/serving.py [--rounds 5] [--seconds 4] [--json] [--no-mlserver]
    .venv/bin/python bench/serving.py --metrics      # what counting costs per request

Ends with status 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench.serving_peers import models
from bench.serving_peers.load import drive
from bench.serving_peers.servers import Contestant, Stable, frame_payload, tensor_payload

DIRECT, ENVOY, COLUMNS = "triune", "triune behind Envoy", "triune 20 columns"
TENSOR, FRAME, MLSERVER = "mlflow tensor", "mlflow dataframe", "mlserver"
OURS_HGB, THEIRS_HGB = "triune HistGB", "mlflow HistGB"


@dataclass
class Figures:
    """One contestant's rounds."""

    rates: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)

    def medians(self) -> dict[str, float]:
        """Requests/s, CPU ms per request, latencies in ms."""
        return {
            "requests_per_second": round(statistics.median(self.rates), 1),
            "cpu_ms_per_request": round(statistics.median(self.cpu_ms), 4),
            "p50_ms": round(statistics.median(self.p50), 2),
            "p99_ms": round(statistics.median(self.p99), 2),
        }


def burst(contestant: Contestant, options: argparse.Namespace, figures: Figures) -> None:
    """One round of one contestant."""
    before = contestant.cpu_seconds()
    outcome = drive(
        contestant.port,
        contestant.path,
        contestant.body,
        connections=options.connections,
        seconds=options.seconds,
    )
    spent = contestant.cpu_seconds() - before
    figures.rates.append(outcome.requests / outcome.seconds)
    figures.cpu_ms.append(spent / outcome.requests * 1000)
    figures.p50.append(outcome.p50)
    figures.p99.append(outcome.p99)


def contestants(stable: Stable, options: argparse.Namespace) -> list[Contestant]:
    """All servers, started."""
    direct = stable.triune(DIRECT, "lr")
    found = [
        direct,
        stable.envoy(direct, ENVOY),
        stable.triune(COLUMNS, "lrf", columns=True),
        stable.mlflow(TENSOR, "lr", tensor_payload()),
        stable.mlflow(FRAME, "lrf", frame_payload()),
        stable.triune(OURS_HGB, "hgb"),
        stable.mlflow(THEIRS_HGB, "hgb", tensor_payload()),
    ]
    if not options.no_mlserver:
        found.append(stable.mlserver(MLSERVER))
    return found


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Medians of every contestant and the ratios that have targets."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "triune-bench"
    with tempfile.TemporaryDirectory(prefix="triune-bench-") as folder:
        shelf = Path(folder)
        models.make(shelf)
        stable = Stable(shelf, cache)
        try:
            field_ = contestants(stable, options)
            figures = {contestant.name: Figures() for contestant in field_}
            for contestant in field_:  # warm
                drive(contestant.port, contestant.path, contestant.body, connections=8, seconds=1)
            for _ in range(options.rounds):
                for contestant in field_:
                    burst(contestant, options, figures[contestant.name])
        finally:
            stable.close()
    medians = {name: figure.medians() for name, figure in figures.items()}
    return {"medians": medians, "ratios": ratios(medians)}


def ratios(medians: dict[str, dict[str, float]]) -> list[dict[str, Any]]:
    """What is promised, what was measured, and whether it holds."""

    def rate(name: str) -> float:
        return medians[name]["requests_per_second"]

    def cpu(name: str) -> float:
        return medians[name]["cpu_ms_per_request"]

    wanted: list[tuple[str, float, float]] = [
        ("requests/s, direct : mlflow tensor", rate(DIRECT) / rate(TENSOR), 20),
        ("requests/s, direct : mlflow dataframe", rate(DIRECT) / rate(FRAME), 20),
        ("CPU per request, mlflow tensor : direct", cpu(TENSOR) / cpu(DIRECT), 10),
        ("requests/s, behind Envoy : mlflow tensor", rate(ENVOY) / rate(TENSOR), 10),
        ("requests/s, HistGB on scikit-learn : mlflow", rate(OURS_HGB) / rate(THEIRS_HGB), 3),
    ]
    if MLSERVER in medians:
        wanted.append(("requests/s, direct : mlserver", rate(DIRECT) / rate(MLSERVER), 10))
    return [
        {"what": what, "measured": round(found, 1), "target": target, "met": found >= target}
        for what, found, target in wanted
    ]


def counting(requests: int = 100_000) -> dict[str, float]:
    """Microseconds per request: our shared counters, and prometheus_client's."""
    from triune.models.serving.board import BUCKETS, Board

    row = Board(1).take_row()

    def ours() -> None:
        row.begin()
        row.end(200, 0.001, 1)

    with tempfile.TemporaryDirectory() as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        registry = CollectorRegistry()
        codes = Counter("requests", "-", ["code"], registry=registry).labels("200")
        rows = Counter("rows", "-", registry=registry)
        flying = Gauge("flying", "-", registry=registry, multiprocess_mode="livesum")
        latency = Histogram("latency", "-", registry=registry, buckets=BUCKETS)

        def theirs() -> None:
            flying.inc()
            flying.dec()
            codes.inc()
            rows.inc(1)
            latency.observe(0.001)

        return {"ours": timed(ours, requests), "prometheus_client": timed(theirs, requests)}


def timed(call: Any, times: int) -> float:
    """Microseconds a call."""
    began = time.perf_counter()
    for _ in range(times):
        call()
    return round((time.perf_counter() - began) / times * 1e6, 2)


def show(result: dict[str, Any]) -> None:
    """The table for people."""
    print(f"{'':24}{'requests/s':>12}{'CPU ms/req':>12}{'p50 ms':>9}{'p99 ms':>9}")
    for name, row in result["medians"].items():
        print(
            f"{name:24}{row['requests_per_second']:>12,.0f}{row['cpu_ms_per_request']:>12.3f}"
            f"{row['p50_ms']:>9.2f}{row['p99_ms']:>9.2f}"
        )
    for row in result["ratios"]:
        verdict = "met" if row["met"] else "MISSED"
        print(f"{row['what']:48}{row['measured']:>7.1f}x  target {row['target']:>2}x  {verdict}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--no-mlserver", action="store_true")
    parser.add_argument("--metrics", action="store_true", help="only what counting costs")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.metrics:
        print(json.dumps(counting()))
        return 0
    result = measure(options)
    if options.json:
        print(json.dumps(result, indent=2))
    else:
        show(result)
    return 0 if all(row["met"] for row in result["ratios"]) else 1


if __name__ == "__main__":
    sys.exit(main())
