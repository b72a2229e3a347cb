"""What assignment and readings cost the gateway: CPU and requests/s with them and without.

The same Envoy, table, access log and load; "without" lacks the Lua filter and the loggers that
count. Behind it another Envoy answers at once, so that nearly all the time is the gateway's.
Rounds are interleaved; figures are medians. Then: how long a snapshot of ten upstreams takes,
and `bucket` and `buckets` in Python.

    .venv/bin/python bench/gateway.py [--rounds 5] [--seconds 4] [--connections 32] [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.support.delivery import LocalProcesses, free_port
from tests.support.gateways import echo_process, edited

from bench.serving_peers.load import drive
from triune.core.assignment import bucket, buckets
from triune.delivery.gateway.backends import envoy_bootstrap
from triune.delivery.gateway.backends.envoy import EnvoyGateway
from triune.delivery.gateway.model import Route, Table, Target, Upstream

ENDPOINT = "flights/delay"
UPSTREAMS = 10
WITH, WITHOUT = "with", "without"


@dataclass
class Gateway:
    """One Envoy with a table, and what its rounds gave."""

    port: int
    process: psutil.Process
    gateway: EnvoyGateway
    rates: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)

    def cpu_seconds(self) -> float:
        times = self.process.cpu_times()
        return float(times.user + times.system)


def start(processes: LocalProcesses, folder: Path, name: str, behind: int) -> Gateway:
    """Start a gateway before the one that answers."""
    port, admin = free_port(), free_port()
    spec = envoy_bootstrap.process(folder / name, admin, port, workers=1, name=name)
    if name == WITHOUT:
        with edited(folder / name) as (_, manager):
            manager["http_filters"] = manager["http_filters"][-1:]
            manager["access_log"] = manager["access_log"][:1]
    processes.ensure(spec)
    gateway = EnvoyGateway(folder / name, admin)
    gateway.apply(_table(behind))
    return Gateway(port, psutil.Process(processes.pid(name)), gateway)


def _table(port: int) -> Table:
    arms = tuple(
        Upstream(f"arm-{n}", "127.0.0.1", port, "stable", f"release:{n}") for n in range(UPSTREAMS)
    )
    targets = tuple(Target(arm.name, 10_000 // UPSTREAMS) for arm in arms)
    return Table(arms, (Route(ENDPOINT, targets),))


def burst(gateway: Gateway, body: Path, connections: int, seconds: float) -> None:
    """One round."""
    before = gateway.cpu_seconds()
    outcome = drive(gateway.port, f"/{ENDPOINT}/x", body, connections=connections, seconds=seconds)
    spent = gateway.cpu_seconds() - before
    gateway.rates.append(outcome.requests / outcome.seconds)
    gateway.cpu_us.append(spent / outcome.requests * 1e6)


def timed(call: Callable[[], object], times: int) -> float:
    """Seconds a call."""
    began = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - began) / times


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All figures."""
    with tempfile.TemporaryDirectory(prefix="triune-bench-") as made:
        folder = Path(made)
        processes = LocalProcesses(folder)
        body = folder / "body"
        body.write_bytes(b"{}")
        try:
            behind = echo_process(processes, folder)
            field_ = {name: start(processes, folder, name, behind) for name in (WITH, WITHOUT)}
            for gateway in field_.values():  # warm
                drive(gateway.port, f"/{ENDPOINT}/x", body, connections=8, seconds=1)
            for _ in range(options.rounds):
                for gateway in field_.values():
                    burst(gateway, body, options.connections, options.seconds)
            snapshot = timed(field_[WITH].gateway.snapshot, 200)
        finally:
            processes.stop_all()
    units = [f"user-{number}" for number in range(100_000)]
    buckets(ENDPOINT, units)  # imports numpy
    figures: dict[str, Any] = {}
    for name, gateway in field_.items():
        figures[f"requests/s, {name}"] = round(statistics.median(gateway.rates))
        figures[f"CPU us/request, {name}"] = round(statistics.median(gateway.cpu_us), 2)
    return figures | {
        f"snapshot of {UPSTREAMS} upstreams, ms": round(snapshot * 1000, 2),
        "bucket, ns": round(timed(lambda: [bucket(ENDPOINT, unit) for unit in units], 3) * 1e4),
        "buckets, ns/unit": round(timed(lambda: buckets(ENDPOINT, units), 3) * 1e4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = measure(options)
    if options.json:
        print(json.dumps(result, indent=2))
        return
    for name, value in result.items():
        print(f"{name:>36}  {value}")


if __name__ == "__main__":
    main()
