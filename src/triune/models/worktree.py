"""A clean checkout of a commit in a folder of its own, gone afterwards whatever happens."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from triune.core.errors import NotFound, Refused, TriuneError
from triune.core.git import git
from triune.core.ids import digest_bytes
from triune.models.provenance import patch_path

_LOCK = "lock"
_NO_HOOKS = ("-c", "core.hooksPath=/dev/null")


@contextmanager
def checkout(root: Path, key: str, *, commits: Path, scratch: Path) -> Iterator[Path]:
    """The workspace ``root`` as it was at the commit ``key`` (``<sha>`` or
    ``<sha>+dirty.<12 hex>``); yields the workspace's folder in the checkout.

    ``commits`` is where differences were kept. Checkouts that a killed process left below
    ``scratch`` are removed first.

    Raises
    ------
    NotFound: (``commit-gone``) the commit or the kept difference is not there any more.
    Refused: (``artifact-corrupt``) the kept difference is not the one recorded.
    """
    top = Path(git(root, "rev-parse", "--show-toplevel").decode().rstrip("\n"))
    _sweep(root, scratch)
    scratch.mkdir(parents=True, exist_ok=True)
    with _held(Path(tempfile.mkdtemp(dir=scratch))) as home:
        tree = home / "code"
        sha, _, dirty = key.partition("+dirty.")
        try:
            git(root, *_NO_HOOKS, "worktree", "add", "--quiet", "--detach", str(tree), sha)
        except TriuneError as error:
            raise NotFound(
                "commit-gone",
                f"the commit {sha[:12]} cannot be checked out: {error.message}",
                context=str(root),
                hint="Fetch it from where the repository was pushed to.",
            ) from error
        try:
            if dirty:
                git(tree, "apply", "--whitespace=nowarn", stdin=_patch(commits, key, dirty))
            yield tree / root.resolve().relative_to(top.resolve())
        finally:
            _remove(root, home)


def _patch(commits: Path, key: str, digest: str) -> bytes:
    path = patch_path(commits, key)
    if not path.is_file():
        raise NotFound(
            "commit-gone",
            "the uncommitted changes the run was made with are not here any more",
            context=str(path),
            hint="Restore the workspace's .triune/state/commits from a backup.",
        )
    patch = path.read_bytes()
    if digest_bytes(patch)[7:19] != digest:
        raise Refused(
            "artifact-corrupt",
            f"{path.name} is not the difference that was recorded",
            context=str(path),
            hint="Restore it from a backup.",
        )
    return patch


@contextmanager
def _held(home: Path) -> Iterator[Path]:
    """The folder, locked for as long as this process lives."""
    descriptor = os.open(home / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield home
    finally:
        os.close(descriptor)
        shutil.rmtree(home, ignore_errors=True)


def _sweep(root: Path, scratch: Path) -> None:
    """Remove what killed processes left: folders whose lock nobody holds."""
    for lock in scratch.glob(f"*/{_LOCK}"):
        descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
        try:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(root, lock.parent)
        finally:
            os.close(descriptor)


def _remove(root: Path, home: Path) -> None:
    shutil.rmtree(home, ignore_errors=True)
    git(root, "worktree", "prune")
