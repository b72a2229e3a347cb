"""Copying files and folders into a run's artifacts: each appears there whole or not at all."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

from triune.core.files import write_atomic
from triune.core.ids import digest_file, digest_tree


def keep(source: Path | str | bytes, target: Path) -> None:
    if isinstance(source, bytes):
        write_atomic(target, source)
        return
    path = Path(source)
    if path.resolve() == target:
        return
    hidden = target.with_name(f".{target.name}.{os.getpid()}.{threading.get_ident()}")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        if path.is_dir():
            shutil.copytree(path, hidden)
            if target.is_dir():
                shutil.rmtree(target)
        else:
            shutil.copyfile(path, hidden)
        hidden.rename(target)
    finally:
        if hidden.is_dir():
            shutil.rmtree(hidden)
        hidden.unlink(missing_ok=True)


def measure(path: Path) -> tuple[int, str]:
    if path.is_dir():
        files = [file for file in path.rglob("*") if file.is_file()]
        return sum(file.stat().st_size for file in files), digest_tree(path)
    return path.stat().st_size, digest_file(path)
