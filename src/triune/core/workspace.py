"""Where a workspace keeps its things.

Everything that Triune itself writes lies below ``.triune/`` (ignored by git):

====================  =====================================================
``ledger.db``         the ledger (profile ``local``)
``journal/``          events accepted and not yet in the ledger
``runs/<id>/``        one folder per run: journal, artifacts
``artifacts/``        content-addressed model versions
``mlflow/``           MLflow's database and artifacts (profile ``local``)
``state/``            desired state: endpoints, loop, ports
``secrets/``          generated secrets, owner-only
``keys/``             the signing key, owner-only, and its public half
``engines/<name>/``   an engine's own data
``log/<name>.log``    output of each service
``run/``              sockets, generated engine configuration
====================  =====================================================
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from triune.core.config import FILE_NAME, Config, load
from triune.core.errors import NotFound

_SOCKET_LIMIT = 90


@dataclass(frozen=True)
class Workspace:
    """A folder with a ``triune.toml``; its settings are read on first use and kept.

    A process that runs on and needs the present ones uses `triune.core.following` instead.
    """

    root: Path

    @property
    def config(self) -> Config:
        return self._kept

    @cached_property
    def _kept(self) -> Config:
        return load(self.root)

    @property
    def name(self) -> str:
        return self.config.workspace.name

    @property
    def home(self) -> Path:
        return self.root / ".triune"

    @property
    def ledger_path(self) -> Path:
        return self.home / "ledger.db"

    @property
    def journal(self) -> Path:
        return self.home / "journal"

    @property
    def runs(self) -> Path:
        return self.home / "runs"

    @property
    def artifacts(self) -> Path:
        return self.home / "artifacts"

    @property
    def state(self) -> Path:
        return self.home / "state"

    @property
    def secrets(self) -> Path:
        return self.home / "secrets"

    @property
    def keys(self) -> Path:
        return self.home / "keys"

    @property
    def logs(self) -> Path:
        return self.home / "log"

    @property
    def run_folder(self) -> Path:
        return self.home / "run"

    def engine(self, name: str) -> Path:
        """The folder an engine keeps its data in."""
        return self.home / "engines" / name

    @property
    def marker(self) -> str:
        """A word all processes of this workspace carry in their environment."""
        return hashlib.sha256(str(self.root.resolve()).encode()).hexdigest()[:16]

    @property
    def sockets(self) -> Path:
        """A private folder whose path is short enough for Unix sockets."""
        near = self.run_folder
        if len(os.fsencode(near)) <= _SOCKET_LIMIT:
            return near
        return Path(tempfile.gettempdir()) / f"triune-{os.getuid()}-{self.marker}"


def find(start: Path | None = None) -> Workspace:
    """The workspace that holds ``start`` (default: the current folder).

    Raises
    ------
    NotFound: no folder from ``start`` up to the root has a ``triune.toml``.
    """
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / FILE_NAME).is_file():
            return Workspace(folder)
    raise NotFound(
        "workspace-not-found",
        f"no {FILE_NAME} here or in any folder above",
        context=str(here),
        hint="Change into a workspace, pass --workspace, or run `triune init`.",
    )
