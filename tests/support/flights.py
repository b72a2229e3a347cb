"""The flights example as a user would have it: a copy in a repository of its own."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

SOURCE = Path(__file__).parent.parent.parent / "examples" / "flights"
LEFT_BEHIND = shutil.ignore_patterns(".triune", "__pycache__", "*.parquet", "report.html")


def flights(folder: Path) -> Path:
    """Copy the example's sources to ``folder`` and commit them there."""
    shutil.copytree(SOURCE, folder, ignore=LEFT_BEHIND)
    for command in (
        ["init", "--quiet", "--initial-branch=main"],
        ["add", "--all"],
        ["-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "--quiet", "-m", "begin"],
    ):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder
