"""Writing an engine's generated configuration, and noticing when it changes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

from triune.core.files import OWNER_ONLY, write_atomic


def fingerprint(parts: Mapping[Path, str] | Mapping[str, str]) -> dict[str, str]:
    """A variable that changes with files or facts, so that a process is replaced when they do."""
    hasher = hashlib.sha256()
    for name, text in sorted((str(key), value) for key, value in parts.items()):
        hasher.update(f"{name}\0{text}\0".encode())
    return {"TRIUNE_SETTINGS": hasher.hexdigest()[:16]}


def writer(files: Mapping[Path, str], *folders: Path) -> Callable[[], None]:
    """A preparation that makes the folders and writes the files, all for the owner only."""

    def prepare() -> None:
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path, text in files.items():
            write_atomic(path, text, mode=OWNER_ONLY)

    return prepare
