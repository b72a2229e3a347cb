"""A model server as a process, for tests: started, awaited, and gone at the end."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.support.models import model_file
from triune.core.waiting import wait_until
from triune.models.serving.spec import ServingSpec


@dataclass
class Server:
    """A running server and how to talk to it."""

    process: subprocess.Popen[bytes]
    spec: ServingSpec
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.spec.port}"

    @property
    def infer_url(self) -> str:
        return f"{self.url}/v2/models/{self.spec.model_name}/infer"

    def workers(self) -> list[psutil.Process]:
        """Its worker processes."""
        return psutil.Process(self.process.pid).children()

    def is_ready(self) -> bool:
        """Whether it answers that it is ready."""
        try:
            return httpx.get(f"{self.url}/v2/health/ready", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    def metric(self, name: str) -> float:
        """A sample's value, summed over all series that start with ``name``."""
        lines = httpx.get(f"{self.url}/metrics").text.splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))


def spec_for(folder: Path, port: int, **changes: Any) -> ServingSpec:
    """A spec that serves a model folder."""
    settings: dict[str, Any] = {
        "endpoint": "tiny/model",
        "model_name": "tiny-model",
        "arm": "stable",
        "release": "release:tiny-model@0123456789ab",
        "model": model_file(folder),
        "port": port,
    }
    return ServingSpec(**(settings | changes))


def launch(spec: ServingSpec, folder: Path) -> Server:
    """Start the server without waiting for it."""
    path, log = folder / f"{spec.port}.json", folder / f"{spec.port}.log"
    spec.save(path)
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "triune.models.serving", str(path)],
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Server(process, spec, log)


@contextmanager
def running(spec: ServingSpec, folder: Path) -> Iterator[Server]:
    """The server, ready; killed with all its children at the end."""
    server = launch(spec, folder)
    try:
        wait_until(
            lambda: server.process.poll() is not None or server.is_ready(),
            timeout=60,
            what="the server ready",
        )
        assert server.process.poll() is None, server.log.read_text()
        yield server
    finally:
        stop(server)


def stop(server: Server) -> None:
    """Kill the server and whatever it started."""
    try:
        tree = psutil.Process(server.process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        tree = []
    server.process.kill()
    server.process.wait()
    for child in tree:
        if child.is_running():
            child.kill()
    psutil.wait_procs(tree, timeout=5)


def column_body(**columns: Any) -> dict[str, Any]:
    """An ``infer`` body of FP64 columns."""
    return {
        "inputs": [
            {"name": name, "shape": [len(values)], "datatype": "FP64", "data": values}
            for name, values in columns.items()
        ]
    }
