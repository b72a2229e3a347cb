"""Alertmanager: groups alerts and passes them on; alone, without a cluster."""

from __future__ import annotations

import json

from triune.core.process import HttpReady, ProcessSpec
from triune.core.workspace import Workspace
from triune.operations.services.addresses import Addresses
from triune.operations.services.engines.binaries import of_system
from triune.operations.services.engines.settings import fingerprint, writer
from triune.operations.services.model import Service

_SETTINGS = {
    "route": {"receiver": "triune", "group_wait": "0s", "group_interval": "5s"},
    "receivers": [{"name": "triune"}],
}


def service(workspace: Workspace, addresses: Addresses) -> Service:
    """Raises `MissingEngine` where the Debian package is not installed."""
    program = of_system(
        "alertmanager", "prometheus-alertmanager", "prometheus-alertmanager", "alertmanager"
    )
    folder = workspace.engine("alertmanager")
    config = workspace.run_folder / "alertmanager.yml"
    files = {config: json.dumps(_SETTINGS, indent=2)}  # JSON is YAML
    return Service(
        ProcessSpec(
            name="alertmanager",
            argv=(
                str(program),
                f"--config.file={config}",
                f"--storage.path={folder}",
                f"--web.listen-address={addresses.at('alertmanager')}",
                "--cluster.listen-address=",
                "--log.level=warn",
            ),
            ready=HttpReady(f"{addresses.alertmanager_url}/-/ready"),
            env=fingerprint(files),
            cwd=folder,
            order=10,
        ),
        prepare=writer(files, folder),
    )
