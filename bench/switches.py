"""50 blue-green switches under 32 busy connections: does one request fail or get lost?

Every switch is a whole rollout on real processes through real Envoy: the other colour is
started, warmed, smoke-tested, switched to, and the arm before the last is drained and
stopped. Meanwhile 32 keep-alive connections send one request after the other.

    .venv/bin/python bench/switches.py [--switches 50] [--connections 32] [--json]

Ends with status 1 when a request was not answered 200, or not by the old or new release.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.support.delivery import ENDPOINT, SLUG, Stage, staged

BODY = b'{"inputs": [{"name": "x", "shape": [1], "datatype": "FP64", "data": [1]}]}'
REQUEST = (
    f"POST /{ENDPOINT}/v2/models/{SLUG}/infer HTTP/1.1\r\nhost: bench\r\n"
    f"content-type: application/json\r\ncontent-length: {len(BODY)}\r\n\r\n"
).encode() + BODY


@dataclass
class Load:
    """What the connections sent and what they got."""

    sent: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    releases: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


async def connection(port: int, load: Load, stop: asyncio.Event) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while not stop.is_set():
        begin = time.perf_counter()
        load.sent += 1
        try:
            writer.write(REQUEST)
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:-2])
            await reader.readexactly(int(headers["content-length"]))
        except (asyncio.IncompleteReadError, OSError) as error:
            load.lost.append(repr(error))
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            continue
        load.seconds.append(time.perf_counter() - begin)
        load.statuses[int(head.split(" ", 2)[1])] += 1
        load.releases[headers.get("x-triune-release", "none")] += 1
    writer.close()


async def run_load(port: int, connections: int, pipe: Connection) -> Load:
    load, stop = Load(), asyncio.Event()
    asyncio.get_running_loop().add_reader(pipe.fileno(), stop.set)
    await asyncio.gather(*(connection(port, load, stop) for _ in range(connections)))
    return load


def load_process(port: int, connections: int, pipe: Connection) -> None:
    load = asyncio.run(run_load(port, connections, pipe))
    times = sorted(load.seconds)
    pipe.send(
        {
            "sent": load.sent,
            "answered": sum(load.statuses.values()),
            "statuses": dict(load.statuses),
            "lost": len(load.lost),
            "why lost": sorted(set(load.lost)),
            "releases": dict(load.releases),
            "p50 ms": round(1000 * times[len(times) // 2], 3),
            "p99 ms": round(1000 * times[int(len(times) * 0.99)], 3),
            "worst ms": round(1000 * times[-1], 3),
        }
    )


def switch(stage: Stage, releases: tuple[str, str], count: int) -> list[float]:
    """Alternate between two releases; seconds each gateway switch took."""
    took = []
    for number in range(count):
        moments: dict[str, float] = {}

        def observe(step: str, _: str, moments: dict[str, float] = moments) -> None:
            moments[step] = time.perf_counter()

        stage.delivery.start(ENDPOINT, releases[(number + 1) % 2], observe=observe)
        took.append(moments["switched"] - moments["switching"])
        print(f"\r{number + 1}/{count}", end="", file=sys.stderr)
    print(file=sys.stderr)
    return took


def measure(switches: int, connections: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder, staged(Path(folder)) as stage:
        config = stage.root / "triune.toml"
        # The machine is busy with the load itself: latency is not what is tested here.
        config.write_text(config.read_text().replace("60.0", "5000.0"))
        releases = (stage.release("delay@1"), stage.release("delay@2"))
        stage.delivery.start(ENDPOINT, releases[0])
        ours, theirs = multiprocessing.Pipe()
        process = multiprocessing.Process(
            target=load_process, args=(stage.ports("envoy"), connections, theirs)
        )
        process.start()
        begin = time.perf_counter()
        took = sorted(switch(stage, releases, switches))
        elapsed = time.perf_counter() - begin
        ours.send("stop")
        result: dict[str, Any] = ours.recv()
        process.join()
    strangers = set(result["releases"]) - set(releases)
    good = result["statuses"] == {200: result["sent"]} and not strangers
    return {
        "switches": switches,
        "connections": connections,
        "seconds": round(elapsed, 1),
        "requests/s": round(result["sent"] / elapsed),
        "gateway switch p50 ms": round(1000 * took[len(took) // 2], 1),
        "gateway switch worst ms": round(1000 * took[-1], 1),
        **result,
        "good": good,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--switches", type=int, default=50)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = measure(options.switches, options.connections)
    if options.json:
        print(json.dumps(result, indent=2))
    else:
        for name, value in result.items():
            print(f"{name:>24}  {value}")
    sys.exit(0 if result["good"] else 1)


if __name__ == "__main__":
    main()
