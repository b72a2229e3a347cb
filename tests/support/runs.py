"""Runs and model versions without training anything, and a tracker in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from triune.core.workspace import Workspace
from triune.ledger.service import Ledger
from triune.models.tracking.model import RunRecord, RunStatus
from triune.models.tracking.ports import Point
from triune.models.tracking.session import start


def bare_workspace(root: Path) -> Workspace:
    """A workspace with a name and nothing else."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "triune.toml").write_text('[workspace]\nname = "bare"\n')
    return Workspace(root)


def open_ledger(workspace: Workspace) -> Ledger:
    """The workspace's ledger on SQLite."""
    workspace.home.mkdir(exist_ok=True)
    return Ledger.open(
        f"sqlite:///{workspace.ledger_path}", workspace.journal, workspace=workspace.name
    )


def run_with_model(workspace: Workspace, *, content: str = "weights") -> str:
    """A finished run that kept a folder as its model; its id. No such model can be loaded."""
    with start("fit", workspace=workspace, details={"model": "delay", "seed": "1"}) as run:
        run.params({"depth": 3})
        run.log(auc=0.7)
        source = workspace.root / f"model-of-{run.id}"
        (source / "code").mkdir(parents=True)
        (source / "MLmodel").write_text("flavors: {}\n")
        (source / "code" / "own.py").write_text("x = 1\n")
        (source / "model.pkl").write_text(content)
        run.artifact(source, "model")
        run.artifact(b'{"inputs": {"a": [1.0]}}', "example.json")
    return run.id


@dataclass
class TrackedRun:
    """What the memory tracker knows of a run."""

    record: RunRecord
    points: dict[tuple[str, int, int], float] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    artifacts: list[str] = field(default_factory=list)
    status: RunStatus = RunStatus.RUNNING


@dataclass
class MemoryTracker:
    """`Tracker` in memory. ``fail_after`` calls it raises, as a shipper's death would look."""

    runs: dict[str, TrackedRun] = field(default_factory=dict)
    versions: dict[tuple[str, int], str] = field(default_factory=dict)
    aliases: dict[tuple[str, str], int] = field(default_factory=dict)
    fail_after: int | None = None
    identity: str = "memory"

    def _count(self) -> None:
        if self.fail_after is None:
            return
        self.fail_after -= 1
        if self.fail_after < 0:
            raise KeyboardInterrupt

    def find(self, identifier: str) -> str | None:
        self._count()
        return next((k for k, run in self.runs.items() if run.record.id == identifier), None)

    def create(self, record: RunRecord) -> str:
        self.runs[f"m{len(self.runs)}"] = TrackedRun(record)
        self._count()
        return f"m{len(self.runs) - 1}"

    def log(
        self,
        tracked: str,
        *,
        points: Sequence[Point] = (),
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        run = self.runs[tracked]
        for point in points:
            run.points[(point.name, point.step, point.time)] = point.value
        run.params |= params or {}
        run.tags |= tags or {}
        self._count()

    def keep(self, tracked: str, name: str, path: Path) -> None:
        assert path.exists()
        self.runs[tracked].artifacts.append(name)
        self._count()

    def end(self, tracked: str, status: RunStatus, time: int) -> None:
        self.runs[tracked].status = status
        self._count()

    def mirror_version(self, name: str, number: int, *, ref: str, tracked: str, card: str) -> None:
        self.versions[(name, number)] = tracked
        self._count()

    def mirror_alias(self, name: str, alias: str, number: int) -> None:
        self.aliases[(name, alias)] = number
        self._count()
