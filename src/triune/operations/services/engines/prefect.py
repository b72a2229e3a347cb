"""Prefect's server, for those who want to see flows in its page (profile ``server``)."""

from __future__ import annotations

from triune.core.process import HttpReady, ProcessSpec
from triune.core.workspace import Workspace
from triune.operations.services.addresses import Addresses
from triune.operations.services.engines.binaries import in_scripts
from triune.operations.services.engines.settings import writer
from triune.operations.services.model import Service
from triune.operations.services.ports import HOST


def service(workspace: Workspace, addresses: Addresses) -> Service:
    """Ready when its API says that it is healthy; it imports for a dozen seconds first."""
    program = in_scripts("prefect", "prefect", "prefect")
    folder, port = workspace.engine("prefect"), addresses.port("prefect")
    return Service(
        ProcessSpec(
            name="prefect",
            argv=(str(program), "server", "start", "--host", HOST, "--port", str(port)),
            ready=HttpReady(f"{addresses.prefect_api}/health"),
            env={
                "PREFECT_HOME": str(folder),
                "PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{folder}/prefect.db",
                "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
                "DO_NOT_TRACK": "1",
                "PREFECT_UI_API_URL": addresses.prefect_api,
            },
            cwd=folder,
            ready_seconds=180,
            order=50,
        ),
        prepare=writer({}, folder),
    )
