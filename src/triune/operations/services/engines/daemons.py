"""Triune's own daemons: each a module of `triune.app`, ready when it has written its file.

They read the profile, the ledger's address and ``triune.toml`` when they start: `up` replaces
them when one of these is another.
"""

from __future__ import annotations

import sys
from urllib.parse import urlsplit

from triune.core.config import FILE_NAME
from triune.core.process import FileReady, ProcessSpec
from triune.core.workspace import Workspace
from triune.operations.services.addresses import Addresses
from triune.operations.services.engines.settings import fingerprint
from triune.operations.services.model import Service

NAMES = (
    "ingest",
    "guard",
    "controller",
    "tracker",
    "streams",
    "flows",
    "backups",
    "flags",
    "tests",
)
_MODULES = {
    "flags": ("triune.app.flags_daemon",),
    "streams": ("triune.app.streams_daemon",),
    "flows": ("triune.app.schedules", "flows"),
    "backups": ("triune.app.schedules", "backups"),
    "tests": ("triune.app.tests_daemon",),
}
"""Module and first words of those that are no module of their own name."""

_BESIDE, _LAST_UP_FIRST_DOWN = 40, 300
_ORDER = {"guard": _LAST_UP_FIRST_DOWN, "controller": _LAST_UP_FIRST_DOWN}
"""Who acts on what dies must be gone before arms are stopped on purpose."""


def service(workspace: Workspace, addresses: Addresses, name: str) -> Service:
    """``python -m triune.app.<name> <workspace>``; it writes ``.triune/run/<name>.ready``."""
    return Service(
        ProcessSpec(
            name=name,
            argv=(
                sys.executable,
                "-P",
                "-m",
                *_MODULES.get(name, (f"triune.app.{name}",)),
                str(workspace.root),
            ),
            ready=FileReady(workspace.run_folder / f"{name}.ready"),
            env=_settings(workspace, addresses),
            cwd=workspace.root,
            stop_seconds=10,
            order=_ORDER.get(name, _BESIDE),
        )
    )


def _settings(workspace: Workspace, addresses: Addresses) -> dict[str, str]:
    ledger = urlsplit(addresses.ledger_url)
    return fingerprint(
        {
            "profile": addresses.profile.value,
            "ledger": f"{ledger.scheme}://{ledger.netloc.rpartition('@')[2]}{ledger.path}",
            FILE_NAME: (workspace.root / FILE_NAME).read_text(encoding="utf-8"),
        }
    )
