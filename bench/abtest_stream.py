"""How many events a second a test's sums take in, and that computing them anew agrees.

A ledger in SQLite is filled with exposures and outcomes of many units: a tenth of the outcomes are
corrections, a hundredth of the units hop. Then the stream reads all of it, and DuckDB computes it
anew. ``for ten million`` is what the rate of the whole comes to, if it stays as it is.

    .venv/bin/python -m bench.abtest_stream [--events 200000] [--json]
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.support.abtest_facts import NOW, START, reader, saw, stream, told

from triune.delivery.abtest.backends.duckdb import apart, recomputed
from triune.delivery.abtest.facts import Period
from triune.ledger.envelope import Event
from triune.ledger.service import Ledger

T = TypeVar("T")
CHUNK = 10_000
MANY = 10_000_000


def facts(count: int) -> Iterator[list[Event]]:
    """A fifth are exposures; each unit has four outcomes on average."""
    draw, units = random.Random(3), count // 5
    for start in range(0, count, CHUNK):
        chunk: list[Event] = []
        for place in range(start, min(start + CHUNK, count)):
            unit, at = f"u{draw.randrange(units)}", draw.uniform(0, 100)
            if place % 5 == 0:
                hops = draw.random() < 0.01
                own = bool(int(unit[1:]) % 2) is not hops
                chunk.append(saw(unit, "new" if own else "old", at))
            else:
                key = f"k{draw.randrange(count)}" if draw.random() < 0.1 else ""
                name = "order" if place % 2 else "rating"
                chunk.append(told(unit, name, draw.uniform(0, 200), at, key))
        yield chunk


def timed(work: Callable[[], T]) -> tuple[T, float, float]:
    """What it gives, the seconds it took, and those the processor was busy with it."""
    wall, busy = time.perf_counter(), time.process_time()
    found = work()
    return found, time.perf_counter() - wall, time.process_time() - busy


def main() -> int:
    """Print the rates; status 1 when the sums disagree."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ledger = Ledger.open(f"sqlite:///{folder}/l.db", folder / "journal", workspace="shop")
        for chunk in facts(asked.events):
            ledger.record(chunk)
        kept = stream(ledger, folder)
        read, streamed, busy = timed(lambda: kept.catch_up(NOW))
        exact, anew, _ = timed(lambda: recomputed(ledger, reader(), Period(START), NOW))
        tally = kept.look()[0]
        found = {
            "events": read,
            "units": tally.counts["units"],
            "stream_events_a_second": round(read / streamed),
            "stream_cpu_microseconds_an_event": round(busy / read * 1e6, 1),
            "anew_events_a_second": round(exact.read / anew),
            "stream_minutes_for_ten_million": round(MANY / (read / streamed) / 60, 1),
            "megabytes_for_ten_million": round(
                (folder / "sums.db").stat().st_size / read * MANY / 1e6
            ),
            "apart": apart(tally, exact),
        }
        ledger.close()
    if asked.json:
        print(json.dumps(found, indent=2))
    else:
        for key, value in found.items():
            print(f"{key.replace('_', ' '):<34} {value}")
    return int(found["apart"] > 1e-9)


if __name__ == "__main__":
    sys.exit(main())
