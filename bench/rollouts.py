"""A thousand canaries on one worker: does every look come in time, and what does one cost?

Real parts: Temporal's server, the controller's worker, the watch with its kernel, the state and
record files, the ledger. The gateway is the one in memory, since a thousand endpoints' model
servers do not fit on one machine; its counters rise as traffic would make them.

    .venv/bin/python bench/rollouts.py [--rollouts 1000] [--seconds 60] [--tick 10] [--json]

Prints the looks that were due and done, how late they came, and the processor time of the worker
and of Temporal, as a share of one core, for all rollouts and for each.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.support.rollouts import RolloutStage

from triune.app.controller import Scan
from triune.core.ids import new_id
from triune.core.rollout_config import RolloutTable, Strategy
from triune.delivery.gateway.backends.memory import MemoryGateway
from triune.delivery.gateway.model import Snapshot, Stratum, Tally
from triune.delivery.rollout import watches
from triune.delivery.rollout.backends.temporal import FEW, RolloutWorker, Temporal
from triune.delivery.rollout.conductor import Conductor
from triune.delivery.rollout.events import LOOKED
from triune.delivery.rollout.model import Record, Ticket, define
from triune.delivery.rollout.store import RecordStore
from triune.delivery.routing import Routing
from triune.delivery.state import Arm, Colour, Driver, EndpointState, Pending, Phase, process_name
from triune.ledger.ports import Query

BINS = [round(10 ** (3 + i / 40)) for i in range(60)]


@dataclass
class Rising:
    """Counters of all arms that rise with the time: 100 requests a second, a tenth of them to the
    candidate, one in a hundred an error."""

    names: list[tuple[str, str]]
    begun: float = field(default_factory=time.monotonic)

    def __call__(self) -> Snapshot:
        passed = time.monotonic() - self.begun
        stable, candidate = self._tally(90 * passed), self._tally(10 * passed)
        rows = {}
        for control, other in self.names:
            rows[(control, Stratum.UNIT)] = stable
            rows[(other, Stratum.UNIT)] = candidate
        return Snapshot("bench", rows)

    def _tally(self, requests: float) -> Tally:
        count = int(requests)
        latency = {float(edge): count // len(BINS) for edge in BINS}
        return Tally(count, count // 100, 0, 0, latency)


def arm(endpoint: str, colour: Colour, digest: str) -> Arm:
    return Arm(f"release:{endpoint}@{digest * 12}", colour, 1, process_name(endpoint, colour))


def begin(taken: Conductor, number: int, tick_s: float) -> tuple[Ticket, tuple[str, str]]:
    """An endpoint in the middle of a canary, as its files would say it."""
    endpoint = f"endpoint-{number}"
    live, candidate = arm(endpoint, Colour.BLUE, "a"), arm(endpoint, Colour.GREEN, "b")
    ticket = Ticket(endpoint, new_id())
    table = RolloutTable(
        tick_s=tick_s, warm_up_s=0.0, steps=(10.0,), step_s=86_400.0, min_requests=10**9
    )
    record = Record(
        rollout=ticket.rollout,
        endpoint=endpoint,
        release=candidate.release,
        stable=live.release,
        actor="user:bench",
        started=time.time(),
        definition=define(table),
    )
    pending = Pending(
        Phase.CANARY,
        candidate,
        ticket.rollout,
        new_id(),
        "user:bench",
        strategy=Strategy.CANARY,
        driver=Driver.CONTROLLER,
        weight=1000,
    )
    taken.records.save(record)
    taken.tools.store.save(EndpointState(endpoint, live, pending=pending))
    return ticket, (live.upstream, candidate.upstream)


def measure(count: int, seconds: float, tick_s: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        stage = RolloutStage(Path(folder) / "stage", with_envoy=False)
        try:
            stage.start_temporal()
            return asyncio.run(_measure(stage, count, seconds, tick_s))
        finally:
            stage.close()


async def _measure(
    stage: RolloutStage, count: int, seconds: float, tick_s: float
) -> dict[str, Any]:
    gateway = MemoryGateway()
    tools = replace(stage.tools(), routing=Routing(stage.store, gateway))
    taken = Conductor(
        tools, RecordStore(stage.workspace.state / "rollouts"), lambda r: r.definition
    )
    begun = [begin(taken, number, tick_s) for number in range(count)]
    rising = Rising([names for _, names in begun])
    watching = watches.Watches(
        taken, watches.SharedReadings(rising, tools.clock), lambda _: Path("unused")
    )
    temporal = await Temporal.connect(stage.temporal, "stage")
    worker = RolloutWorker(taken, watching, print)
    server = psutil.Process(stage.processes.pid("temporal"))
    async with temporal.worker(worker):
        scan = Scan(taken.records, FEW)
        await scan.look(temporal)
        begun_in = await _all_look(stage, count)
        own, others = time.process_time(), _cpu(server)
        first = stage.ledger.last_sequence()
        await asyncio.sleep(seconds)
        own, others = time.process_time() - own, _cpu(server) - others
        stage.ledger.flush()
        looks = list(stage.ledger.select(Query(kind=LOOKED, after=first)))
    return {"begun_in_s": begun_in, **_result(looks, count, seconds, tick_s, own, others)}


async def _all_look(stage: RolloutStage, count: int) -> float:
    """Seconds until every rollout has been looked at once."""
    begin, seen, after = time.monotonic(), set[str](), 0
    while len(seen) < count:
        if time.monotonic() - begin > 300:
            raise TimeoutError(f"only {len(seen)} of {count} rollouts are looked at")
        await asyncio.sleep(0.5)
        for stored in stage.ledger.select(Query(kind=LOOKED, after=after)):
            after = stored.sequence
            seen.add(stored.event.payload["endpoint"])
    return round(time.monotonic() - begin, 1)


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _result(
    looks: list[Any], count: int, seconds: float, tick_s: float, own: float, server: float
) -> dict[str, Any]:
    spans = [s.event.payload["reading"].get("seconds", tick_s) - tick_s for s in looks]
    late = sorted(spans) or [float("nan")]
    return {
        "rollouts": count,
        "tick_s": tick_s,
        "due": round(count * seconds / tick_s),
        "done": len(looks),
        "late_median_s": round(statistics.median(late), 3),
        "late_p99_s": round(late[int(0.99 * (len(late) - 1))], 3),
        "worker_share_of_a_core": round(own / seconds, 4),
        "temporal_share_of_a_core": round(server / seconds, 4),
        "worker_ms_a_look": round(1000 * own / max(len(looks), 1), 3),
        "threads": threading.active_count(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rollouts", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--tick", type=float, default=10.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measure(options.rollouts, options.seconds, options.tick)
    if options.json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(f"{name:>26}  {value}")


if __name__ == "__main__":
    main()
