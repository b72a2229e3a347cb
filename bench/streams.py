"""From an event on the topic to a readable feature: latency at a steady rate, on Valkey.

    .venv/bin/python bench/streams.py [--rate 2000] [--seconds 15] [--json]

Starts PostgreSQL, Valkey, the broker and the `streams` daemon of a workspace of
its own, publishes at the rate, and reads the daemon's histogram: from when the broker had an event
until its row was written online. Afterwards the values are held against all that was published.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import httpx

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.support import streams as support
from tests.support.services import clear, only

from triune.app import services
from triune.app.context import Context
from triune.core.workspace import Workspace

BATCH = 20
NAMES = ("postgres", "valkey", "seaweedfs", "broker", "streams")


def histogram(context: Context) -> dict[str, float]:
    text = httpx.get(f"http://{context.addresses.at('streams.metrics')}/", timeout=10).text
    found = {}
    for line in text.splitlines():
        if line.startswith("triune_stream_latency_seconds_bucket"):
            found[line.partition('le="')[2].partition('"')[0]] = float(line.rsplit(" ", 1)[1])
    return found


def within(before: dict[str, float], after: dict[str, float], share: float) -> str:
    """The smallest bound below which that share of the events stayed."""
    counts = {bound: after[bound] - before.get(bound, 0.0) for bound in after}
    return next((b for b, count in counts.items() if count >= share * counts["+Inf"]), "+Inf")


def play(context: Context, rate: int, seconds: float) -> tuple[int, dict[str, float]]:
    """Publish at the rate; how many, and the histogram's difference."""
    context.streams.publish("rides", support.rides(0, 2000))
    context.streams.settle("rides", timeout=60)
    before, number = histogram(context), 2000
    begin = time.monotonic()
    while (passed := time.monotonic() - begin) < seconds:
        wanted = 2000 + int(passed * rate)
        if wanted - number < BATCH:
            time.sleep(0.002)
            continue
        context.streams.publish("rides", support.rides(number, wanted))
        number = wanted
    context.streams.settle("rides", timeout=60)
    after = histogram(context)
    return number, {b: after[b] - before.get(b, 0.0) for b in after}


def right(context: Context, count: int) -> bool:
    """Whether the online values are those of all events."""
    events = support.rides(0, count)
    end = support.EPOCH + timedelta(seconds=(count - 1) / 3)
    context.streams.advance("rides", end)
    context.streams.settle("rides", timeout=60)
    found = context.features.get({"driver": ["d3"]}, ["recent"])
    got = [found.columns[f"recent:{name}"][0] for name in support.FEATURES]
    return got == support.wanted(events, "d3", end)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rate", type=int, default=2_000)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="triune-bench-") as folder:
        root = Path(folder) / "x"
        root.mkdir()
        settings = only(*NAMES, profile="server") + support.TOML
        (root / "triune.toml").write_text(f'[workspace]\nname = "x"\n{settings}')
        workspace = Workspace(root)
        support.begin(workspace)
        context = Context(workspace)
        try:
            services.up(context)
            context.data.add("rides")
            context.features.apply()
            begin = time.monotonic()
            count, counts = play(context, asked.rate, asked.seconds)
            rate = (count - 2000) / (time.monotonic() - begin)
            correct = right(context, count)
        finally:
            context.close()
            clear(workspace)
    bounds = {share: within({}, counts, share) for share in (0.5, 0.9, 0.99)}
    if asked.json:
        print(json.dumps({"events": count, "rate": rate, "bounds": bounds, "counts": counts}))
    else:
        print(f"{count - 2000} events at {rate:.0f}/s: readable within, in seconds: "
              f"50 % {bounds[0.5]}, 90 % {bounds[0.9]}, 99 % {bounds[0.99]}; "
              f"values {'right' if correct else 'WRONG'}")  # fmt: skip
    return 0 if correct else 1


if __name__ == "__main__":
    sys.exit(main())
