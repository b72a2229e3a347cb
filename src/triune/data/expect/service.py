"""The use cases of expectations: check, and require before a training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from triune.core.errors import NotFound, Refused
from triune.core.expect_config import ExpectTable
from triune.core.workspace import Workspace
from triune.data import contents
from triune.data.expect import check
from triune.data.expect.model import Checked, Failure, digest
from triune.data.expect.seen import look
from triune.data.expect.suggest import Suggestion, suggested
from triune.data.expect.tables import is_table
from triune.data.globs import matches
from triune.data.ports import Log
from triune.data.service import Data
from triune.ledger.envelope import event
from triune.ledger.ports import Query

CHECKED = "dataset.checked"
_TOLD = 50
Progress = Callable[[str], None]


def _silent(_: str) -> None:
    """Progress that nobody watches."""


class Expectations:
    """What ``triune.toml`` expects of the datasets of one workspace."""

    def __init__(self, workspace: Workspace, data: Data, log: Log) -> None:
        self._workspace = workspace
        self._data = data
        self._log = log

    def names(self) -> list[str]:
        """The datasets that something is expected of."""
        return [n for n, table in self._workspace.config.datasets.items() if table.expect]

    def check(self, name: str, *, on_progress: Progress = _silent) -> Checked:
        """Hold the recorded version in the workspace against its expectations, rule by rule.

        Raises
        ------
        NotFound: ``dataset-unknown``, ``dataset-unversioned``, ``dataset-expects-nothing``.
        Refused: (``dataset-changed``) the bytes are not the recorded version's.
        """
        version = self._data.current(name)
        tables = self._tables(name)
        files = contents.names(version.path)
        rows, looked_at = 0, 0
        failures: list[Failure] = []
        for table in tables:
            matching = _matching(files, table)
            if len(matching) < table.min_files:
                words = f"fewer than {table.min_files} files match"
                failures.append(Failure(table.files, "", words, len(matching)))
            for file, path in matching.items():
                on_progress(f"checking {name}/{file}")
                count, found = check.file(path, file, table)
                rows, looked_at = rows + count, looked_at + 1
                failures += found
        verdict = "fail" if failures else "pass"
        checked = Checked(name, version.ref, verdict, looked_at, rows, tuple(failures))
        self._record(checked, digest(tables))
        return checked

    def require(self, name: str, *, on_progress: Progress = _silent) -> None:
        """Let a training use a dataset only when its version has passed; checked at most once.

        A dataset of which nothing is expected may be used.

        Raises
        ------
        Refused: (``dataset-check-failed``) with every rule that does not hold.
        """
        if name not in self.names() or self._passed(name):
            return
        refuse(self.check(name, on_progress=on_progress))

    def suggest(self, name: str, *, on_progress: Progress = _silent) -> Suggestion:
        """Expectations that the recorded version in the workspace meets, with room to move.

        Raises
        ------
        NotFound: ``dataset-unknown``, ``dataset-unversioned``, ``dataset-without-tables``.
        Refused: (``dataset-changed``) the bytes are not the recorded version's;
            (``table-broken``) naming the table that cannot be read.
        """
        version = self._data.current(name)
        found = {n: p for n, p in contents.names(version.path).items() if is_table(p)}
        if not found:
            raise NotFound(
                "dataset-without-tables",
                f"dataset {name!r} holds no table",
                context=str(version.path),
                hint="Tables end in .parquet or .csv.",
            )
        seen = []
        for file, path in found.items():
            on_progress(f"looking at {name}/{file}")
            seen.append(look(path, file))
        return suggested(name, version.ref, seen)

    def _passed(self, name: str) -> bool:
        version, wanted = self._data.recorded(name).ref, digest(self._tables(name))
        query = Query(kind=CHECKED, subject=version, newest_first=True)
        for stored in self._log.select(query):
            if stored.event.payload["expectations"] == wanted:
                return bool(stored.event.payload["verdict"] == "pass")
        return False

    def _tables(self, name: str) -> tuple[ExpectTable, ...]:
        self._data.path(name)  # raises for an unknown one
        tables = self._workspace.config.datasets[name].expect
        if not tables:
            raise NotFound(
                "dataset-expects-nothing",
                f"nothing is expected of dataset {name!r}",
                context=str(self._workspace.root),
                hint=f"Add [[datasets.{name}.expect]]; docs/reference/data.md shows how.",
            )
        return tables

    def _record(self, checked: Checked, expectations: str) -> None:
        payload = {
            "name": checked.name,
            "verdict": checked.verdict,
            "expectations": expectations,
            "files": checked.files,
            "rows": checked.rows,
            "failures": [str(one) for one in checked.failures[:_TOLD]],
        }
        self._log.record(
            [event(CHECKED, checked.version, workspace=self._workspace.name, payload=payload)]
        )


def refuse(checked: Checked) -> None:
    """Raise for a version that did not pass.

    Raises
    ------
    Refused: (``dataset-check-failed``).
    """
    if checked.verdict == "pass":
        return
    raise Refused(
        "dataset-check-failed",
        f"{checked.version} does not meet what is expected of it: "
        + "; ".join(map(str, checked.failures[:5]))
        + (f"; and {len(checked.failures) - 5} more" if len(checked.failures) > 5 else ""),
        context=f"[[datasets.{checked.name}.expect]]",
        hint=f"`triune data check {checked.name}` shows all of it. Mend the data and add them "
        "again, or change what is expected.",
    )


def _matching(files: dict[str, Path], table: ExpectTable) -> dict[str, Path]:
    return {
        name: path for name, path in files.items() if is_table(path) and matches(name, table.files)
    }
