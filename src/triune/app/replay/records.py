"""A replay's files: one line for each request, and a summary that others may watch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from triune.app.replay.model import Record, Summary
from triune.core.files import write_atomic
from triune.core.workspace import Workspace

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Record)


def folder(workspace: Workspace) -> Path:
    """Where replays keep their files: ``<id>.jsonl`` and ``<id>.json``."""
    return workspace.state / "replay"


class RecordFile:
    """Appends records to a file; those of the last moment may be lost on kill -9.

    Since `Record.number` has no gaps, a reader sees how many are missing.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab", buffering=1 << 16)

    def append(self, record: Record) -> None:
        """Add one line; it reaches the file at the next `flush` at the latest."""
        self._file.write(_encoder.encode(record) + b"\n")

    def flush(self) -> None:
        """Hand everything to the operating system."""
        self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()


def read(path: Path) -> Iterator[Record]:
    """The records in a file, in the order of their answers; a torn last line is left out."""
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield _decoder.decode(line)


def write_summary(workspace: Workspace, summary: Summary) -> None:
    """Replace the summary's file."""
    write_atomic(folder(workspace) / f"{summary.id}.json", _encoder.encode(summary))


def read_summary(path: Path) -> Summary | None:
    """The summary in a file; None before it was first written."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Summary)
    except FileNotFoundError:
        return None


def summaries(workspace: Workspace) -> list[Summary]:
    """Every replay of a workspace, the newest first."""
    found = (read_summary(path) for path in folder(workspace).glob("*.json"))
    return sorted((s for s in found if s), key=lambda s: s.started, reverse=True)
