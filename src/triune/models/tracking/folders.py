"""Where runs lie on disk, and which of them still have something to be told.

::

    .triune/runs/<id>/journal        frames, see `triune.models.tracking.frames`
    .triune/runs/<id>/artifacts/     what the run kept
    .triune/runs/<id>/shipped.json   how far the run has come into MLflow
    .triune/state/runs/untold/<id>   an empty mark: not yet told to ledger and index as ended
    .triune/state/runs/unshipped/<id>  an empty mark: not yet wholly in MLflow

The marks let a reader find the few runs with news among many thousands without opening any.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from triune.core.errors import NotFound
from triune.core.ids import key_of, kind_of
from triune.core.workspace import Workspace
from triune.models.tracking.journal import FILE_NAME


class Mark(StrEnum):
    """What is still to be done for a run."""

    UNTOLD = "untold"
    """The ledger and the index do not know yet how it ended."""
    UNSHIPPED = "unshipped"
    """MLflow does not have all of it yet."""


@dataclass(frozen=True)
class RunFolders:
    """The runs of one workspace, as folders."""

    workspace: Workspace

    def folder(self, identifier: str) -> Path:
        """The run's own folder, whether or not it exists."""
        return self.workspace.runs / identifier

    def journal(self, identifier: str) -> Path:
        return self.folder(identifier) / FILE_NAME

    def artifacts(self, identifier: str) -> Path:
        return self.folder(identifier) / "artifacts"

    def shipped(self, identifier: str) -> Path:
        return self.folder(identifier) / "shipped.json"

    def mark(self, identifier: str, *marks: Mark) -> None:
        """Note what is still to be done for a run; by default everything."""
        for mark in marks or Mark:
            folder = self._marks(mark)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / identifier).touch()

    def unmark(self, identifier: str, mark: Mark) -> None:
        """That much is done for the run."""
        (self._marks(mark) / identifier).unlink(missing_ok=True)

    def marked(self, mark: Mark) -> list[str]:
        """Ids of the runs with this mark, oldest first."""
        folder = self._marks(mark)
        return sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []

    def ids(self) -> Iterator[str]:
        """Ids of all runs, in no particular order."""
        if self.workspace.runs.is_dir():
            for path in self.workspace.runs.iterdir():
                if not path.name.startswith("."):
                    yield path.name

    def resolve(self, name: str) -> str:
        """The id meant by an id, the beginning or end of one, or ``run:<id>``.

        Raises
        ------
        NotFound: (``run-not-found``) no run, or more than one, is meant.
        """
        wanted = key_of(name) if kind_of(name) == "run" else name
        if wanted and self.journal(wanted).is_file():
            return wanted
        found = [i for i in self.ids() if wanted and (i.startswith(wanted) or i.endswith(wanted))]
        if len(found) == 1:
            return found[0]
        what = f"{len(found)} runs match {name!r}" if found else f"there is no run {name!r}"
        raise NotFound(
            "run-not-found",
            what,
            context=str(self.workspace.runs),
            hint="List the runs with `triune runs`, and give more of the id.",
        )

    def _marks(self, mark: Mark) -> Path:
        return self.workspace.state / "runs" / mark.value
