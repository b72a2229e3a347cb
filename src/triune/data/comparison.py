"""What changed between two listings of a dataset's files. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from triune.data.model import FileFacts


class Change(StrEnum):
    """What became of a file."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"
    RENAMED = "renamed"


@dataclass(frozen=True, slots=True)
class FileChange:
    """One file that differs. ``words`` say what changed in a table: columns, rows."""

    name: str
    change: Change
    before: FileFacts | None
    after: FileFacts | None
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that differs between two versions."""

    before: str
    after: str
    files: tuple[FileChange, ...]
    unchanged: int


def compared(
    before: str, after: str, old: Iterable[FileFacts], new: Iterable[FileFacts]
) -> Comparison:
    """Compare by name, and find files that only have another name by their digest."""
    olds, news = {f.name: f for f in old}, {f.name: f for f in new}
    gone = {f.digest: f for n, f in olds.items() if n not in news}
    changes, renamed = [], set()
    for name in sorted(news.keys() - olds.keys()):
        was = gone.get(news[name].digest)
        if was is not None and was.name not in renamed:
            renamed.add(was.name)
            words = (f"was {was.name}",)
            changes.append(FileChange(name, Change.RENAMED, was, news[name], words))
        else:
            changes.append(FileChange(name, Change.ADDED, None, news[name]))
    changes += [
        FileChange(name, Change.REMOVED, olds[name], None)
        for name in sorted(olds.keys() - news.keys() - renamed)
    ]
    both = sorted(olds.keys() & news.keys())
    differing = [name for name in both if olds[name].digest != news[name].digest]
    changes += [
        FileChange(
            name, Change.CHANGED, olds[name], news[name], tuple(_table(olds[name], news[name]))
        )
        for name in differing
    ]
    ordered = tuple(sorted(changes, key=lambda change: change.name))
    return Comparison(before, after, ordered, len(both) - len(differing))


def _table(old: FileFacts, new: FileFacts) -> Iterable[str]:
    if old.columns is not None and new.columns is not None:
        added = [c for c in new.columns if c not in old.columns]
        removed = [c for c in old.columns if c not in new.columns]
        if added:
            yield f"new columns: {', '.join(added)}"
        if removed:
            yield f"columns gone: {', '.join(removed)}"
        if not added and not removed and old.columns != new.columns:
            yield "the columns have another order"
    if old.rows is not None and new.rows is not None and old.rows != new.rows:
        yield f"{new.rows - old.rows:+d} rows ({old.rows} to {new.rows})"
