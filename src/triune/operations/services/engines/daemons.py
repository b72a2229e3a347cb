"""Triune's own daemons: each a module of `triune.app`, ready when it has written its file."""

from __future__ import annotations

import sys

from triune.core.process import FileReady, ProcessSpec
from triune.core.workspace import Workspace
from triune.operations.services.model import Service

NAMES = ("ingest", "guard", "tracker")


def service(workspace: Workspace, name: str) -> Service:
    """``python -m triune.app.<name> <workspace>``; it writes ``.triune/run/<name>.ready``."""
    return Service(
        ProcessSpec(
            name=name,
            argv=(sys.executable, "-P", "-m", f"triune.app.{name}", str(workspace.root)),
            ready=FileReady(workspace.run_folder / f"{name}.ready"),
            cwd=workspace.root,
            stop_seconds=10,
            order=40,
        )
    )
