"""The daemon that turns the gateway's access log into events."""

from __future__ import annotations

import threading
from collections.abc import Callable

from triune.app import daemon
from triune.app.context import Context
from triune.app.rollouts import gateway, gateway_folder
from triune.core.files import locked
from triune.delivery.gateway.backends.envoy_bootstrap import access_log
from triune.delivery.ingest import Ingester

NAME = "ingest"


def work(context: Context, stop: threading.Event, ready: Callable[[], None]) -> None:
    """Ingest until told to stop. A second ingester waits for the first one to end."""
    with locked(context.workspace.run_folder / f"{NAME}.lock"):
        ingester = Ingester(
            access_log(gateway_folder(context.workspace)),
            context.ledger,
            gateway(context).reopen_logs,
            workspace=context.workspace.name,
            status=context.workspace.state / "ingest.json",
        )
        ready()
        ingester.run(stop, daemon.tell)


if __name__ == "__main__":
    daemon.main(NAME, work)
