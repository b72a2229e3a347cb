"""Writing an engine's generated configuration, and noticing when it changes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

from triune.core.files import OWNER_ONLY, write_atomic


def fingerprint(files: Mapping[Path, str]) -> dict[str, str]:
    """A variable that changes with the files, so that a process is replaced when they do."""
    hasher = hashlib.sha256()
    for path in sorted(files):
        hasher.update(f"{path}\0{files[path]}\0".encode())
    return {"TRIUNE_SETTINGS": hasher.hexdigest()[:16]}


def writer(files: Mapping[Path, str], *folders: Path) -> Callable[[], None]:
    """A preparation that makes the folders and writes the files, all for the owner only."""

    def prepare() -> None:
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path, text in files.items():
            write_atomic(path, text, mode=OWNER_ONLY)

    return prepare
