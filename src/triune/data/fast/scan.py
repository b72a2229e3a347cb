"""What lies in a dataset's folder, by one walk."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import NamedTuple

from triune.core.errors import NotFound, TriuneError


class Entry(NamedTuple):
    """A plain file: its name inside the dataset, where it lies, and what the file system says."""

    name: str
    path: str
    size: int
    mtime_ns: int
    inode: int


def scan(path: Path) -> list[Entry]:
    """Every file below ``path``, sorted as paths are; a single file has its own name.

    Raises
    ------
    NotFound: (``dataset-absent``) nothing is there.
    TriuneError: (``artifact-not-plain``) a link or a device is among the files, or a name that
        is no UTF-8.
    """
    try:
        told = path.stat()
    except FileNotFoundError:
        raise NotFound(
            "dataset-absent",
            "the dataset is not there",
            context=str(path),
            hint="Run `triune data build`, or check a version out.",
        ) from None
    if not stat.S_ISDIR(told.st_mode):
        return [Entry(path.name, str(path), told.st_size, told.st_mtime_ns, told.st_ino)]
    found: list[Entry] = []
    _below(str(path), "", path, found)
    return found


def _below(folder: str, prefix: str, top: Path, found: list[Entry]) -> None:
    with os.scandir(folder) as listed:
        entries = sorted(listed, key=lambda entry: entry.name)
    for entry in entries:
        name = prefix + entry.name
        if entry.is_dir(follow_symlinks=False):
            _below(entry.path, f"{name}/", top, found)
            continue
        if not entry.is_file(follow_symlinks=False) or not _is_text(name):
            raise TriuneError(
                "artifact-not-plain",
                f"{name!r} is not a plain file",
                context=str(top),
                hint="Put a copy of the file in its place, under a name in UTF-8.",
            )
        told = entry.stat(follow_symlinks=False)
        found.append(Entry(name, entry.path, told.st_size, told.st_mtime_ns, told.st_ino))


def _is_text(name: str) -> bool:
    if name.isascii():
        return True
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
