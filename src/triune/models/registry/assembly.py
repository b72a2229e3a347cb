"""Putting a version's folder together beside its place, and moving it there in one step."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from triune.core.files import sync_folder

_HIDDEN = ".staging-"
_READ_ONLY = 0o444


def numbers(model_folder: Path) -> list[int]:
    """The versions that are whole, ascending."""
    if not model_folder.is_dir():
        return []
    return sorted(int(p.name) for p in model_folder.iterdir() if p.name.isdecimal())


@contextmanager
def staged(model_folder: Path, number: int) -> Iterator[Path]:
    """An empty folder to fill; it becomes ``<model_folder>/<number>``, read-only, at the end.

    kill -9 at any moment leaves the whole version or none; what it leaves behind goes when the
    next version of the model is made. One process at a time for each model.
    """
    model_folder.mkdir(parents=True, exist_ok=True)
    for stale in model_folder.glob(f"{_HIDDEN}*"):
        shutil.rmtree(stale)
    folder = model_folder / f"{_HIDDEN}{number}"
    folder.mkdir()
    try:
        yield folder
        for path in folder.rglob("*"):
            if path.is_file():
                path.chmod(_READ_ONLY)
                _sync(path)
            else:
                sync_folder(path)
        sync_folder(folder)
        folder.rename(model_folder / str(number))
        sync_folder(model_folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
