"""A workspace with one dataset, a log in memory, and a content store in plain folders."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from triune.core.errors import NotFound, Unavailable
from triune.core.workspace import Workspace
from triune.data.model import Remote
from triune.data.ports import Tracked
from triune.data.service import Data
from triune.ledger.envelope import Event
from triune.ledger.ports import Query, Stored

TOML = """
[workspace]
name = "shop"

[datasets.sales]
path = "data/sales"
build = "{module}:build"

[datasets.notes]
path = "data/notes.csv"
"""

BUILD = """
from pathlib import Path

def build(folder: Path) -> None:
    (folder / "a.csv").write_text("x,y\\n1,2\\n3,4\\n")
    (folder / "deep").mkdir()
    (folder / "deep" / "b.txt").write_text("hello")
"""


def workspace_in(folder: Path, build: str = BUILD) -> Workspace:
    """A workspace whose build function is ``build``, in a module of its own name."""
    module = "building_" + hashlib.sha256(f"{folder}{build}".encode()).hexdigest()[:12]
    sys.modules.pop(module, None)
    (folder / "src").mkdir(parents=True, exist_ok=True)
    (folder / "src" / f"{module}.py").write_text(build)
    (folder / "triune.toml").write_text(TOML.format(module=module))
    return Workspace(folder)


@dataclass
class MemoryLog:
    """The part of a ledger that data uses."""

    events: list[Event] = field(default_factory=list)

    def record(self, events: Sequence[Event]) -> int:
        self.events.extend(events)
        return len(events)

    def select(self, query: Query | None = None) -> Iterator[Stored]:
        wanted = query or Query()
        found = [
            Stored(place, event)
            for place, event in enumerate(self.events, start=1)
            if wanted.kind in (None, event.kind)
        ]
        yield from reversed(found) if wanted.newest_first else found


@dataclass
class FolderStore:
    """The fake of `triune.data.backends.dvc.DvcStore`: the same port, plain copies."""

    home: Path
    reachable: bool = True
    added: int = 0

    @property
    def cache(self) -> Path:
        return self.home / "cache"

    @property
    def remote(self) -> Path:
        return self.home / "remote"

    def add(self, path: Path) -> Tracked:
        self.added += 1
        if path.is_file():
            content = self._keep(path.read_bytes())
        else:
            files = sorted(file for file in path.rglob("*") if file.is_file())
            listing = [
                {"md5": self._keep(file.read_bytes()), "relpath": file.relative_to(path).as_posix()}
                for file in files
            ]
            content = self._keep(json.dumps(listing).encode(), mark=".dir")
        path.with_name(path.name + ".dvc").write_text(content)
        return Tracked(content, path.with_name(path.name + ".dvc"))

    @property
    def keep(self) -> None:
        """Nothing: `add` reads for itself."""
        return None

    def tracked(self, path: Path) -> Tracked | None:
        file = path.with_name(path.name + ".dvc")
        return Tracked(file.read_text(), file) if file.exists() else None

    def push(self, content: str) -> None:
        if not self.reachable:
            raise Unavailable("remote-unreachable", "the remote is switched off")
        for key in (content, *self._listing(content).values()):
            target = self.remote / key[:2] / key[2:]
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(self.cache / key[:2] / key[2:], target)

    def pushed(self, content: str) -> bool:
        return (self.remote / content[:2] / content[2:]).exists()

    def objects(self, content: str) -> dict[str, Path]:
        if not (self.cache / content[:2] / content[2:]).exists():
            if not self.pushed(content):
                raise NotFound("dataset-content-missing", content)
            shutil.copytree(self.remote, self.cache, dirs_exist_ok=True)
        listing = self._listing(content)
        return {name: self.cache / key[:2] / key[2:] for name, key in listing.items()}

    def _keep(self, data: bytes, mark: str = "") -> str:
        key = hashlib.md5(data).hexdigest() + mark
        target = self.cache / key[:2] / key[2:]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        return key

    def _listing(self, content: str) -> dict[str, str]:
        if not content.endswith(".dir"):
            return {"": content}
        rows = json.loads((self.cache / content[:2] / content[2:]).read_bytes())
        return {row["relpath"]: row["md5"] for row in rows}


@dataclass
class Shop:
    """The service over fakes, with all its parts at hand."""

    workspace: Workspace
    log: MemoryLog
    store: FolderStore
    data: Data


def shop_in(folder: Path, build: str = BUILD) -> Shop:
    """A data service over fakes."""
    workspace, log = workspace_in(folder, build), MemoryLog()
    store = FolderStore(workspace.home / "store")
    return Shop(workspace, log, store, Data(workspace, log, store, Remote("memory://here")))
