"""How fast the ledger is on SQLite: appends, ancestry, lineage; beside bare sqlite3 in one run.

python bench/ledger.py [--json] [--events 100000] [--predictions 1000000] [--folder DIR]
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from triune.core.ids import new_id
from triune.ledger.backends.sql import _row
from triune.ledger.envelope import Edge, Event, event
from triune.ledger.ports import Query
from triune.ledger.runs import Condition, Field, IndexedRun, Order
from triune.ledger.service import Ledger

BATCH = 1_000
RELEASE = "release:flights-delay@0123456789ab"
FAMILY, PARENTS = 1_000, 10


def served() -> Event:
    """A prediction as the gateway's log gives it, with its edge to the release."""
    identifier = new_id()
    return event(
        "prediction.served",
        f"prediction:{identifier}",
        workspace="bench",
        actor="service:ingest",
        identifier=identifier,
        payload={
            "endpoint": "flights/delay",
            "release": RELEASE,
            "arm": "stable",
            "unit": "N14228",
            "status": 200,
            "duration_ms": 1.25,
            "degraded": False,
        },
        edges=(Edge(f"prediction:{identifier}", RELEASE, "release"),),
    )


def made(kind: str, subject: str, *parents: tuple[str, str]) -> Event:
    """An event that makes ``subject`` from ``(role, reference)`` pairs."""
    edges = tuple(Edge(subject, parent, role) for role, parent in parents)
    return event(kind, subject, workspace="bench", actor="user:bench", edges=edges)


def best(work: Callable[[], object], times: int = 7) -> float:
    """The median of some runs, in seconds, after one that does not count."""
    work()
    took = []
    for _ in range(times):
        begin = time.perf_counter()
        work()
        took.append(time.perf_counter() - begin)
    return sorted(took)[times // 2]


def batches(events: list[Event]) -> Iterator[list[Event]]:
    for start in range(0, len(events), BATCH):
        yield events[start : start + BATCH]


def durable_rate(ledger: Ledger, events: list[Event]) -> float:
    """Events per second through `record`, each batch synced."""
    begin = time.perf_counter()
    for batch in batches(events):
        ledger.record(batch)
    return len(events) / (time.perf_counter() - begin)


def bare_rate(path: Path, events: list[Event]) -> float:
    """The same rows into one table with sqlite3 alone: WAL, synchronous=FULL, unique id."""
    rows = [_row(one) for one in events]
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute(
        "CREATE TABLE events (sequence INTEGER PRIMARY KEY, id TEXT UNIQUE, time INTEGER, "
        "kind TEXT, subject TEXT, actor TEXT, workspace TEXT, version INTEGER, payload TEXT, "
        "causes TEXT, edges TEXT)"
    )
    statement = f"INSERT INTO events VALUES (NULL{', ?' * 10})"
    begin = time.perf_counter()
    for start in range(0, len(rows), BATCH):
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(statement, rows[start : start + BATCH])
        connection.execute("COMMIT")
    took = time.perf_counter() - begin
    connection.close()
    return len(rows) / took


def append_times(ledger: Ledger, count: int, per_second: float | None) -> dict[str, float]:
    """How long `append` holds its caller, in microseconds; paced, or as fast as it goes."""
    events = [served() for _ in range(count)]
    took = []
    clock = time.perf_counter
    begin = clock()
    for number, one in enumerate(events):
        if per_second is not None:
            ahead = begin + number / per_second - clock()
            if ahead > 0:
                time.sleep(ahead)
        start = clock()
        ledger.append(one)
        took.append((clock() - start) * 1e6)
    ledger.flush(120)
    took.sort()
    return {
        "p50": took[count // 2],
        "p99": took[int(count * 0.99)],
        "p999": took[int(count * 0.999)],
        "worst": took[-1],
    }


def fill_predictions(ledger: Ledger, count: int) -> str:
    """A release with its whole ancestry and ``count`` predictions; returns one of them."""
    commit, environment, data = "commit:c0ffee", "environment:e", "dataset:flights@d"
    features, run, model = "features:weather@f", f"run:{new_id()}", "model:delay@1"
    inputs = (("dataset", data), ("commit", commit), ("environment", environment))
    ledger.record(
        [
            made("dataset.versioned", data),
            made("commit.recorded", commit),
            made("environment.recorded", environment),
            made("features.defined", features, ("dataset", data), ("commit", commit)),
            made("run.started", run, ("features", features), *inputs),
            made("model.registered", model, ("run", run)),
            made("release.created", RELEASE, ("model", model), ("commit", commit)),
        ]
    )
    for _ in range(0, count, BATCH * 10):
        events = [served() for _ in range(BATCH * 10)]
        for batch in batches(events):
            ledger.record(batch)
    return events[len(events) // 2].subject


def fill_graph(ledger: Ledger, edges: int) -> list[str]:
    """Families of 1,000 artifacts, each made from 10 elders; returns the youngest of each."""
    chance = random.Random(1)
    youngest = []
    family = 0
    written = 0
    while written < edges:
        events = []
        for member in range(FAMILY + PARENTS):
            elders = chance.sample(range(member), PARENTS) if member >= PARENTS else []
            parents = [("dataset", f"dataset:{family}-{elder}@x") for elder in elders]
            events.append(made("dataset.versioned", f"dataset:{family}-{member}@x", *parents))
            written += len(parents)
        ledger.record(events)
        youngest.append(events[-1].subject)
        family += 1
    return youngest


def fill_runs(ledger: Ledger, count: int) -> None:
    chance = random.Random(2)
    ledger.runs.put(
        *(
            IndexedRun(
                id=new_id(),
                name=f"run {n}",
                status="finished",
                started=n,
                metrics={f"metric{m}": chance.random() for m in range(10)},
                params={f"param{p}": str(chance.randint(0, 9)) for p in range(10)},
            )
            for n in range(count)
        )
    )


def measure(folder: Path, events: int, predictions: int) -> dict[str, Any]:
    """All figures, in one run."""
    ledger = Ledger.open(f"sqlite:///{folder}/ledger.db", folder / "journal", workspace="bench")
    sample = [served() for _ in range(events)]
    figures: dict[str, Any] = {
        "durable_events_per_s": durable_rate(ledger, sample),
        "bare_sqlite_events_per_s": bare_rate(folder / "bare.db", sample),
        "append_us_at_1000_per_s": append_times(ledger, 5_000, 1_000.0),
        "append_us_flat_out": append_times(ledger, 50_000, None),
    }
    prediction = fill_predictions(ledger, predictions)
    figures["predictions_stored"] = ledger.count(Query(kind="prediction.served"))
    youngest = fill_graph(ledger, 1_000_000)
    chosen = random.Random(3).choice(youngest)
    figures["edges_stored"] = ledger.database.rows("SELECT COUNT(*) FROM edges")[0][0]
    figures["ancestors_found"] = len(ledger.ancestors(chosen))
    figures["ancestors_ms"] = best(lambda: ledger.ancestors(chosen)) * 1e3
    figures["ancestors_cold_ms"] = cold(folder, lambda other: other.ancestors(chosen))
    assert ledger.lineage(prediction).complete
    figures["lineage_ms"] = best(lambda: ledger.lineage(prediction)) * 1e3
    figures["lineage_cold_ms"] = cold(folder, lambda other: other.lineage(prediction))
    newest = Query(kind="prediction.served", newest_first=True, limit=50)
    figures["newest_50_ms"] = best(lambda: list(ledger.select(newest))) * 1e3
    fill_runs(ledger, 10_000)
    where = [Condition(Field.METRIC, "metric3", ">", 0.5)]
    order = Order(Field.METRIC, "metric7")
    figures["runs_sorted_ms"] = best(lambda: ledger.runs.search(where, order=order)) * 1e3
    figures["database_mib"] = ledger.database.size() / 2**20
    ledger.close()
    return figures


def cold(folder: Path, work: Callable[[Ledger], object]) -> float:
    """The same question asked first thing by a ledger just opened, in milliseconds."""
    begin = time.perf_counter()
    other = Ledger.open(f"sqlite:///{folder}/ledger.db", folder / "other", workspace="bench")
    work(other)
    took = time.perf_counter() - begin
    other.close()
    return took * 1e3


def table(figures: dict[str, Any]) -> str:
    paced, flat = figures["append_us_at_1000_per_s"], figures["append_us_flat_out"]
    rate, bare = figures["durable_events_per_s"], figures["bare_sqlite_events_per_s"]
    rows = [
        ("durable events/s, batches of 1,000", f"{rate:,.0f}", "50,000"),
        ("bare sqlite3, one table, no edges", f"{bare:,.0f}", ""),
        ("append at 1,000/s, p50 / p99", f"{paced['p50']:.0f} / {paced['p99']:.0f} us", "1 ms"),
        ("append flat out, p50 / p99", f"{flat['p50']:.0f} / {flat['p99']:.0f} us", "1 ms"),
        (
            f"ancestors: {figures['ancestors_found']} of {figures['edges_stored']:,} edges",
            f"{figures['ancestors_ms']:.1f} ms (just opened {figures['ancestors_cold_ms']:.1f})",
            "50 ms",
        ),
        (
            f"lineage of one of {figures['predictions_stored']:,} predictions",
            f"{figures['lineage_ms']:.1f} ms (just opened {figures['lineage_cold_ms']:.1f})",
            "20 ms",
        ),
        ("the newest 50 of a kind", f"{figures['newest_50_ms']:.1f} ms", ""),
        ("10,000 runs by metric, filtered", f"{figures['runs_sorted_ms']:.1f} ms", "200 ms"),
        ("size of the database", f"{figures['database_mib']:,.0f} MiB", ""),
    ]
    return "\n".join(f"{what:48} {value:>34}   target {aim}" for what, value, aim in rows)


@contextmanager
def scratch(parent: str | None) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="triune-bench-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--predictions", type=int, default=1_000_000)
    parser.add_argument("--folder", help="where to write (default: the temporary folder)")
    options = parser.parse_args()
    with scratch(options.folder) as folder:
        figures = measure(folder, options.events, options.predictions)
    sys.stdout.write((json.dumps(figures, indent=2) if options.json else table(figures)) + "\n")


if __name__ == "__main__":
    main()
