"""The flag server: evaluations over HTTP, and a change on its way to 1,000 connected clients.

    .venv/bin/python bench/flag_server.py [--clients 1000] [--changes 20] [--seconds 4] [--json]

The server has one core, 100 flags, and SQLite as its ledger. Clients are the real ones, spread over
four processes: each has its connection, thread, flags and the file that keeps them. A change's time
runs from before the call that makes it, the ledger's own write included, until a client has it in
force. At last the server is killed with kill -9 while a flag is changed, started again, and every
client must come to the last change.

Ends with status 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench.flags import DOCUMENT
from bench.serving_peers.load import drive
from triune.app.context import Context
from triune.core.waiting import wait_until
from triune.core.workspace import Workspace
from triune.delivery.flags.cache import Cache
from triune.delivery.flags.live.service import LiveFlags, News, State
from triune.delivery.flags.service import Flags

PROCESSES, FLAGS, CONNECTIONS = 4, 100, 16
PATH = "/ofrep/v1/evaluate/flags/checkout-0"
BODY = b'{"context": {"targetingKey": "user-17", "country": "de"}}'


@contextmanager
def server(root: Path) -> Iterator[psutil.Process]:
    """The daemon, on the first core."""
    ready = root / ".triune" / "run" / "flags.ready"
    ready.unlink(missing_ok=True)
    started = subprocess.Popen([sys.executable, "-P", "-m", "triune.app.flags_daemon", str(root)])
    os.sched_setaffinity(started.pid, {min(os.sched_getaffinity(0))})
    try:
        wait_until(ready.exists, timeout=30, what="the flag server")
        yield psutil.Process(started.pid)
    finally:
        started.terminate()
        started.wait()


def evaluations(port: int, process: psutil.Process, folder: Path, seconds: float) -> dict[str, Any]:
    """Single evaluations a second over keep-alive connections."""
    body = folder / "body.json"
    body.write_bytes(BODY)
    drive(port, PATH, body, connections=CONNECTIONS, seconds=1)
    before = sum(process.cpu_times()[:2])
    found = drive(port, PATH, body, connections=CONNECTIONS, seconds=seconds)
    spent = sum(process.cpu_times()[:2]) - before
    return {
        "evaluations_per_second": round(found.requests / found.seconds),
        "evaluations_per_cpu_second": round(found.requests / spent),
        "p50_ms": round(found.p50, 2),
        "p99_ms": round(found.p99, 2),
    }


@dataclass
class Fleet:
    """A process with many clients, at the other end of a pipe."""

    process: subprocess.Popen[str]

    def ask(self, word: str) -> Any:
        """Say a word; its answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


@contextmanager
def fleets(url: str, folder: Path, clients: int) -> Iterator[list[Fleet]]:
    """All clients, connected."""
    with ExitStack() as stack:
        made = []
        for number in range(PROCESSES):
            argv = [sys.executable, __file__, "--fleet", url, str(folder / f"{number}.json")]
            process = subprocess.Popen(
                [*argv, "--clients", str(clients // PROCESSES)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
            made.append(Fleet(process))
        for one in made:
            one.ask("connected")
        yield made


def fleet(url: str, cache: Path, clients: int) -> None:
    """Be a fleet."""
    logging.disable()
    arrived: dict[str, list[float]] = {}
    lock = threading.Lock()

    def client() -> LiveFlags:
        live = LiveFlags(lambda: url, Cache(cache))

        def hear(news: News) -> None:
            if news.changed:
                with lock:
                    arrived.setdefault(live.version, []).append(time.time())

        live.listen(hear)
        live.start()
        return live

    ours = [client() for _ in range(clients)]
    for line in sys.stdin:
        word = line.strip()
        if word == "connected":
            there = lambda: all(one.state is State.CONNECTED for one in ours)  # noqa: E731
            wait_until(there, timeout=60, what="all clients connected")
            print("true", flush=True)
        elif word == "arrived":
            with lock:
                print(json.dumps(arrived), flush=True)
        else:
            print(sum(one.version == word for one in ours), flush=True)


def pushes(flags: Flags, all_fleets: list[Fleet], clients: int, changes: int) -> dict[str, Any]:
    """From a change to every client."""
    began: dict[str, float] = {}
    for number in range(changes):
        at = time.time()
        flags.roll_out("checkout-0", {"on": 1 + number}, "a step")
        version = flags.current().version
        began[version] = at
        all_have = partial(_all_have, all_fleets, version, clients)
        wait_until(all_have, timeout=30, what="a change", first_pause=0.2)
    delays = []
    for one in all_fleets:
        arrived = one.ask("arrived")
        delays += [t - at for version, at in began.items() for t in arrived.get(version, [])]
    delays.sort()
    assert len(delays) == clients * changes, f"{len(delays)} arrivals"
    p50, p99 = (delays[int(len(delays) * q)] * 1000 for q in (0.5, 0.99))
    return {
        "p50_ms": round(p50, 1),
        "p99_ms": round(p99, 1),
        "longest_ms": round(delays[-1] * 1000, 1),
        "arrivals": len(delays),
    }


def _have(all_fleets: list[Fleet], version: str) -> int:
    return sum(one.ask(version) for one in all_fleets)


def _all_have(all_fleets: list[Fleet], version: str, clients: int) -> bool:
    return _have(all_fleets, version) == clients


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    """All of it."""
    with tempfile.TemporaryDirectory(prefix="triune-bench-") as name, ExitStack() as stack:
        root = Path(name)
        (root / "triune.toml").write_text('[workspace]\nname = "bench"\n')
        context = Context(Workspace(root))
        stack.callback(context.close)
        definition = DOCUMENT["flags"]["checkout"]
        many = {"flags": {f"checkout-{number}": definition for number in range(FLAGS)}}
        context.flags.take(many, "bench")
        url, port = context.addresses.flags_url, context.addresses.port("flags")
        with server(root) as process:
            result = {"http": evaluations(port, process, root, asked.seconds)}
            all_fleets = stack.enter_context(fleets(url, root, asked.clients))
            result["push"] = pushes(context.flags, all_fleets, asked.clients, asked.changes)
            context.flags.disable("checkout-1", "as it dies")
            process.kill()
            context.flags.disable("checkout-2", "while it is dead")
            killed, version = time.time(), context.flags.current().version
            process.wait()
        with server(root):
            up = time.time()
            there = partial(_all_have, all_fleets, version, asked.clients)
            wait_until(there, timeout=60, what="every client has the change", longest_pause=0.05)
            result["kill"] = {
                "clients_with_the_change": _have(all_fleets, version),
                "seconds_dead": round(up - killed, 2),
                "seconds_until_all_have_it": round(time.time() - killed, 2),
            }
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--changes", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--fleet", nargs=2, metavar=("URL", "CACHE"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if asked.fleet:
        fleet(asked.fleet[0], Path(asked.fleet[1]), asked.clients)
        return 0
    found = measure(asked)
    if asked.json:
        print(json.dumps(found))
    else:
        for part, figures in found.items():
            print(part, *(f"{name} {value:,}" for name, value in figures.items()), sep="  ")
    fast = found["http"]["evaluations_per_second"] >= 3000
    return 0 if fast and found["push"]["p99_ms"] < 1000 else 1


if __name__ == "__main__":
    sys.exit(main())
