"""git, asked by its command."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Collection, Mapping
from pathlib import Path

from triune.core.errors import TriuneError


def git(
    root: Path,
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
    fine: Collection[int] = (0,),
) -> bytes:
    """Run git in a folder; its output. ``fine``: exit codes that are no failure.

    Raises
    ------
    TriuneError: (``git-failed``) with the last line git wrote, or ``git`` is not installed.
    """
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments],
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            check=False,
            env={**os.environ, "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", **(environment or {})},
        )
    except FileNotFoundError:
        raise TriuneError(
            "git-failed", "git is not installed", hint="Install the package `git`."
        ) from None
    if done.returncode not in fine:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise TriuneError(
            "git-failed",
            f"git {arguments[0]}: {lines[-1] if lines else f'exit {done.returncode}'}",
            context=str(root),
            hint="Run the command there to see more; git must trust the folder's owner.",
        )
    return done.stdout
