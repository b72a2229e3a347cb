"""How far groups of consumers have come, and numbers for producers; both outlive kill -9."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from triune.core.files import read_json, write_atomic, write_json

_LINES_KEPT = 10_000
_BLOCK = 1_000


class Commit(NamedTuple):
    """The next offset that a group wants from a partition, and what it noted with it."""

    offset: int
    note: str | None


class Groups:
    """Committed offsets, in a file that is appended to."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offsets: dict[str, dict[tuple[str, int], Commit]] = {}
        self._lines = 0
        if path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                self._read(line)
        self._rewrite()

    def _read(self, line: str) -> None:
        try:
            group, topic, partition, offset, note = json.loads(line)
        except ValueError:
            return  # the last line, cut off by a crash: it was not acknowledged
        self._offsets.setdefault(group, {})[topic, partition] = Commit(offset, note)

    def of(self, group: str) -> Mapping[tuple[str, int], Commit]:
        """By topic and partition."""
        return self._offsets.get(group, {})

    def commit(self, group: str, commits: Mapping[tuple[str, int], Commit]) -> None:
        """Keep offsets; they are in the kernel's hands when it returns."""
        self._offsets.setdefault(group, {}).update(commits)
        self._lines += len(commits)
        if self._lines > _LINES_KEPT:
            self._rewrite()
            return
        lines = [_line(group, place, one) for place, one in commits.items()]
        with self._path.open("a", encoding="utf-8") as file:
            file.write("".join(lines))

    def forget(self, topic: str) -> None:
        """Drop what is known of a topic that was deleted."""
        for offsets in self._offsets.values():
            for place in [place for place in offsets if place[0] == topic]:
                del offsets[place]
        self._rewrite()

    def _rewrite(self) -> None:
        lines = [
            _line(group, place, one)
            for group, offsets in self._offsets.items()
            for place, one in offsets.items()
        ]
        write_atomic(self._path, "".join(lines), synced=False)
        self._lines = 0


def _line(group: str, place: tuple[str, int], one: Commit) -> str:
    return json.dumps([group, *place, *one]) + "\n"


class ProducerNumbers:
    """Numbers that no producer had before."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._next = self._until = read_json(path) or 0

    def take(self) -> int:
        """The next."""
        if self._next == self._until:
            self._until += _BLOCK
            write_json(self._path, self._until)
        self._next += 1
        return self._next - 1
