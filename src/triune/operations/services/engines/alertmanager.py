"""Alertmanager: groups alerts and passes them on; alone, without a cluster."""

from __future__ import annotations

import json
from pathlib import Path

from triune.core.errors import MissingEngine
from triune.core.process import HttpReady, ProcessSpec
from triune.core.workspace import Workspace
from triune.operations.services.addresses import Addresses
from triune.operations.services.engines.binaries import of_system
from triune.operations.services.engines.settings import fingerprint, writer
from triune.operations.services.model import Service

DEBIAN_PROGRAM = "prometheus-alertmanager"
DEBIAN_TEMPLATES = Path("/usr/share/prometheus/alertmanager/default.tmpl")
_SETTINGS = {
    "route": {"receiver": "triune", "group_wait": "0s", "group_interval": "5s"},
    "receivers": [{"name": "triune"}],
}


def service(workspace: Workspace, addresses: Addresses) -> Service:
    """Raises `MissingEngine` where the Debian package is not installed."""
    program = of_system("alertmanager", DEBIAN_PROGRAM, DEBIAN_PROGRAM, "alertmanager")
    _require_templates(program)
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


def _require_templates(program: Path) -> None:
    """Debian's build reads its templates from a fixed place and will not start without."""
    if program.name == DEBIAN_PROGRAM and not DEBIAN_TEMPLATES.exists():
        raise MissingEngine(
            "engine-missing",
            "alertmanager is unpacked, but not installed: its templates are not in place",
            context=str(DEBIAN_TEMPLATES),
            hint=f"Install the Debian package `{DEBIAN_PROGRAM}` (`apt-get install "
            f"{DEBIAN_PROGRAM}`), or put the project's own `alertmanager` on the PATH.",
        )
