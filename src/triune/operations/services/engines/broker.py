"""The broker: Kafka's protocol on files of the workspace (``triune.data.broker``)."""

from __future__ import annotations

import sys

from triune.core.process import ProcessSpec, TcpReady
from triune.core.workspace import Workspace
from triune.operations.services.addresses import Addresses
from triune.operations.services.model import Service
from triune.operations.services.ports import HOST


def service(workspace: Workspace, addresses: Addresses) -> Service:
    """Ready when it accepts connections: every topic has been looked through by then."""
    return Service(
        ProcessSpec(
            name="broker",
            argv=(sys.executable, "-P", "-m", "triune.app.broker_daemon", str(workspace.root)),
            ready=TcpReady(addresses.port("broker"), HOST),
            cwd=workspace.root,
            order=20,
        )
    )
