"""`triune init`: a small workspace that works, written file by file."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from triune.core.config import FILE_NAME
from triune.core.errors import Conflict, Refused
from triune.core.files import write_atomic
from triune.core.workspace import Workspace

_NAME = re.compile(r"^[a-z][a-z0-9_-]{0,62}$")


@dataclass(frozen=True, slots=True)
class Created:
    """A workspace that was just made."""

    root: Path
    name: str
    files: tuple[str, ...]
    commit: str


def create(folder: Path, name: str | None = None) -> Created:
    """Write a working workspace into ``folder``, commit it, and make its signing key.

    Existing files are never overwritten; the folder may hold other things.

    Raises
    ------
    Refused: (``workspace-name``) the name does not fit.
    Conflict: (``workspace-exists``) a file it would write is already there.
    """
    root = folder.resolve()
    chosen = name or re.sub(r"[^a-z0-9_-]", "-", root.name.lower())
    if not _NAME.match(chosen):
        raise Refused(
            "workspace-name",
            f"{chosen!r} is not a valid workspace name",
            hint="Pass --name with lower-case letters, digits, '-' and '_', a letter first.",
        )
    package = chosen.replace("-", "_")
    contents = {
        path.replace("PACKAGE", package): text.replace("WORKSPACE", chosen).replace(
            "PACKAGE", package
        )
        for path, text in _templates(files(__package__) / "files", "")
    }
    taken = sorted(path for path in contents if (root / path).exists())
    if taken:
        raise Conflict(
            "workspace-exists",
            f"{', '.join(taken)} already there",
            context=str(root),
            hint="Choose an empty folder.",
        )
    # triune.toml comes last: until it is there, this is no workspace and init may run again.
    for path in sorted(contents, key=lambda item: item == FILE_NAME):
        write_atomic(root / path, contents[path])
    commit = _commit(root, sorted(contents))
    _sign_in(Workspace(root))
    return Created(root, chosen, tuple(sorted(contents)), commit)


def _templates(folder: Traversable, prefix: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for item in folder.iterdir():
        if item.name == "__pycache__":
            continue
        name = f"{prefix}{item.name}"
        if item.is_dir():
            found += _templates(item, f"{name}/")
        else:
            path = name.removesuffix(".tmpl").replace("dot-", ".")
            found.append((path, item.read_text(encoding="utf-8")))
    return found


def _commit(root: Path, paths: list[str]) -> str:
    """Commit the new files, in a repository of their own unless one is there already."""

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=root, check=False, capture_output=True, text=True
        )
        if done.returncode != 0:
            raise Refused(
                "git-failed",
                f"git {arguments[0]}: {done.stderr.strip()}",
                context=str(root),
                hint="The files are written; commit them yourself.",
            )
        return done.stdout.strip()

    inside = subprocess.run(
        ["git", "rev-parse", "--is-inside-work-tree"], cwd=root, check=False, capture_output=True
    )
    if inside.returncode != 0:
        git("init", "--quiet", "--initial-branch=main")
    git("add", "--", *paths)
    identity = subprocess.run(
        ["git", "config", "user.email"], cwd=root, check=False, capture_output=True
    )
    author = [] if identity.returncode == 0 else _AUTHOR
    git(*author, "commit", "--quiet", "-m", "Start the workspace", "--", *paths)
    return git("rev-parse", "HEAD")


_AUTHOR = ["-c", "user.name=triune", "-c", "user.email=triune@localhost"]


def _sign_in(workspace: Workspace) -> None:
    from triune.app.context import Context
    from triune.ledger.envelope import event
    from triune.models.registry.signing import make_key

    make_key(workspace.keys)
    context = Context(workspace)
    try:
        context.ledger.record(
            [
                event(
                    "workspace.created",
                    f"workspace:{workspace.name}",
                    workspace=workspace.name,
                    payload={"profile": workspace.config.workspace.profile.value},
                )
            ]
        )
    finally:
        context.close()
