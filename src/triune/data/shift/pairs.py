"""Which table of one version stands against which of the other. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from triune.data.comparison import Change, Comparison
from triune.data.globs import matches

ENDINGS = (".parquet", ".csv")


@dataclass(frozen=True, slots=True)
class Pair:
    """Two tables, each of one file or several, under the names they are shown by."""

    before: str
    after: str
    files_before: tuple[str, ...]
    files_after: tuple[str, ...]


def pairs(comparison: Comparison) -> list[Pair]:
    """Tables whose bytes changed, and those that went from CSV to Parquet or back.

    A table that has only another name has the same bytes: there is nothing to compare. A CSV and a
    Parquet file of the same name are one table when one of them went as the other came; when both
    are in a version, each is a table of its own.
    """
    found = [
        _one(change.name, change.name)
        for change in comparison.files
        if change.change is Change.CHANGED and is_table(change.name)
    ]
    return sorted([*found, *_rewritten(comparison)], key=lambda pair: pair.after)


def together(pattern: str, before: Iterable[str], after: Iterable[str]) -> Pair:
    """All tables that match a glob, as one table in each version."""
    old, new = (
        tuple(sorted(n for n in names if is_table(n) and matches(n, pattern)))
        for names in (before, after)
    )
    return Pair(pattern, pattern, old, new)


def is_table(name: str) -> bool:
    """Whether a file is a table, by its ending."""
    return name.endswith(ENDINGS)


def _rewritten(comparison: Comparison) -> Iterable[Pair]:
    gone, come = (
        _by_stem(c.name for c in comparison.files if c.change is change)
        for change in (Change.REMOVED, Change.ADDED)
    )
    for stem in gone.keys() & come.keys():
        if len(gone[stem]) == len(come[stem]) == 1:
            yield _one(gone[stem][0], come[stem][0])


def _by_stem(names: Iterable[str]) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for name in filter(is_table, names):
        found[str(PurePosixPath(name).with_suffix(""))].append(name)
    return found


def _one(before: str, after: str) -> Pair:
    return Pair(before, after, (before,), (after,))
