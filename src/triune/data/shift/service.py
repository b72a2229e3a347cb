"""The use case: what changed between two versions, in files and inside tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from triune.core.errors import NotFound, TriuneError
from triune.data.comparison import Comparison
from triune.data.service import Data
from triune.data.shift import numbers, schema, values
from triune.data.shift.model import ColumnShift, Kind, TableShift, Unreadable
from triune.data.shift.pairs import Pair, pairs, together
from triune.data.shift.sources import Files, Table, opened

Progress = Callable[[str], None]


def _silent(_: str) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True, slots=True)
class Differences:
    """Files and tables that differ between two versions; nothing is written or recorded."""

    comparison: Comparison
    tables: tuple[TableShift, ...]


class Shifts:
    """Comparing the datasets of one workspace."""

    def __init__(self, data: Data, scratch: Path) -> None:
        self._data = data
        self._scratch = scratch

    def diff(
        self,
        before: str,
        after: str = "",
        *,
        files: str | None = None,
        tables: bool = True,
        on_progress: Progress = _silent,
    ) -> Differences:
        """What changed from one version to another; without a second, to what lies on disk.

        Tables whose bytes changed are compared column by column. With ``files``, a glob, all
        tables that match are one table in each version; without ``tables`` only files are listed.
        A table that cannot be read says so in its result and does not keep others from being
        compared.

        Raises
        ------
        NotFound: ``dataset-version-unknown``, ``dataset-unknown``, ``dataset-unversioned``,
            ``dataset-absent``, ``tables-none-match``.
        """
        comparison = self._data.diff(before, after)
        if not tables:
            return Differences(comparison, ())
        old, new = _Version(self._data, before), _Version(self._data, after or before, not after)
        found = pairs(comparison) if files is None else [_matching(files, old, new)]
        shifts = []
        for pair in found:
            on_progress(f"comparing {pair.after}")
            shifts.append(self._compared(pair, comparison, old, new, on_progress))
        return Differences(comparison, tuple(shifts))

    def _compared(
        self,
        pair: Pair,
        comparison: Comparison,
        old: _Version,
        new: _Version,
        on_progress: Progress,
    ) -> TableShift:
        try:
            sides = (
                Files(comparison.before, old.chosen(pair.files_before)),
                Files(comparison.after, new.chosen(pair.files_after)),
            )
            with opened(*sides, self._scratch) as (was, now):
                return _shift(pair, was, now, on_progress)
        except TriuneError as error:
            why = Unreadable(
                error.reference, error.message, error.context, error.hint, int(error.exit_code)
            )
            return TableShift(pair.before, pair.after, unreadable=why)


class _Version:
    """The files of a version, looked up when they are first asked for."""

    def __init__(self, data: Data, text: str, on_disk: bool = False) -> None:
        self._data = data
        self._text = text
        self._on_disk = on_disk
        self._found: Mapping[str, Path] | None = None

    def files(self) -> Mapping[str, Path]:
        if self._found is None:
            self._found = self._data.files(self._text, on_disk=self._on_disk)
        return self._found

    def chosen(self, names: tuple[str, ...]) -> dict[str, Path]:
        return {name: self.files()[name] for name in names}


def _matching(pattern: str, old: _Version, new: _Version) -> Pair:
    pair = together(pattern, old.files(), new.files())
    if not pair.files_before or not pair.files_after:
        side = "before" if not pair.files_before else "after"
        raise NotFound(
            "tables-none-match",
            f"no table of the version {side} matches {pattern!r}",
            context="--files",
            hint="Tables end in .parquet or .csv; `triune data show VERSION` lists the files.",
        )
    return pair


def _shift(pair: Pair, was: Table, now: Table, on_progress: Progress) -> TableShift:
    changes = schema.changes(was.columns, now.columns, loose=was.loose or now.loose)
    comparable, skipped = schema.matched(was.columns, now.columns)
    columns = []
    for column in comparable:
        on_progress(f"comparing {pair.after}: {column.after.name}")
        compare = values.shift if column.kind is Kind.CATEGORY else numbers.shift
        columns.append(compare(was, now, column))
    columns.sort(key=_furthest_first)
    return TableShift(pair.before, pair.after, was.rows, now.rows, changes, tuple(columns), skipped)


def _furthest_first(column: ColumnShift) -> tuple[float, str]:
    return (-(column.psi or 0.0), column.name)
