"""Which code a run was made with: the commit, and the difference when the tree was dirty.

The difference is everything below the workspace that `git diff` shows against the commit,
with new files in it (unless git ignores them or they are larger than `LARGEST_NEW_FILE`), so
that the commit and the difference together give back the code as it was.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from triune.core.errors import Refused, TriuneError
from triune.core.files import write_atomic
from triune.core.git import git
from triune.core.ids import digest_bytes, reference
from triune.ledger.envelope import Event
from triune.models.once import told_once

SOURCES = (".", ":(exclude).triune")
"""What belongs to a commit: all of the workspace but Triune's own state, secrets among it."""
LARGEST_NEW_FILE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Commit:
    """The state of a workspace's code.

    ``diff`` is empty for a clean tree. ``untracked`` names new files git does not ignore;
    ``left_out`` those of them too large to be part of ``diff``.
    """

    sha: str
    diff: bytes
    untracked: tuple[str, ...]
    left_out: tuple[str, ...]

    @property
    def diff_digest(self) -> str | None:
        """``sha256:<hex>`` of the difference; None for a clean tree."""
        return digest_bytes(self.diff) if self.diff else None

    @property
    def key(self) -> str:
        """``<sha>``, or ``<sha>+dirty.<12 hex of the difference>``."""
        digest = self.diff_digest
        return f"{self.sha}+dirty.{digest[7:19]}" if digest else self.sha

    @property
    def ref(self) -> str:
        """The lineage reference ``commit:<key>``."""
        return reference("commit", self.key)


def current(root: Path) -> Commit:
    """The code of the workspace as it lies there now.

    Raises
    ------
    Refused: (``commit-missing``) there is no repository, or no commit in it.
    """
    try:
        sha = git(root, "rev-parse", "--verify", "HEAD").decode().strip()
    except TriuneError as error:
        raise Refused(
            "commit-missing",
            "the workspace's code is not under a commit, so no run could say what it was made by",
            context=f"{root}: {error.message}",
            hint="Run `git init && git add -A && git commit -m begin` in the workspace.",
        ) from error
    listed = git(root, "ls-files", "--others", "--exclude-standard", "-z", "--", *SOURCES)
    untracked = tuple(sorted(name for name in listed.decode().split("\0") if name))
    left_out = tuple(n for n in untracked if (root / n).lstat().st_size > LARGEST_NEW_FILE)
    included = [name for name in untracked if name not in left_out]
    return Commit(sha, _difference(root, included), untracked, left_out)


def _difference(root: Path, new_files: list[str]) -> bytes:
    """The difference to HEAD, new files included, without touching the user's index."""
    index = Path(
        git(root, "rev-parse", "--path-format=absolute", "--git-path", "index").decode()[:-1]
    )
    with tempfile.TemporaryDirectory(prefix="triune-index-") as folder:
        copy = Path(folder) / "index"
        if index.is_file():
            shutil.copyfile(index, copy)
        environment = {"GIT_INDEX_FILE": str(copy)}
        if new_files:
            names = "\0".join(new_files).encode()
            add = ("add", "--intent-to-add", "--pathspec-from-file=-", "--pathspec-file-nul")
            git(root, "--literal-pathspecs", *add, environment=environment, stdin=names)
        shown = ("diff", "HEAD", "--binary", "--no-color", "--no-ext-diff", "--no-textconv")
        return git(root, *shown, "--", *SOURCES, environment=environment)


def store(commit: Commit, folder: Path, *, workspace: str) -> Event:
    """Keep the commit's record and difference below ``folder``; returns the event that tells of
    it, always the same one for the same commit."""
    patch = patch_path(folder, commit.key)
    if commit.diff and not patch.is_file():
        write_atomic(patch, commit.diff)
    return told_once(
        folder / f"{commit.key}.json",
        "commit.recorded",
        commit.ref,
        workspace=workspace,
        payload={
            "commit": commit.sha,
            "diff": commit.diff_digest,
            "untracked": list(commit.untracked),
            "left_out": list(commit.left_out),
        },
    )


def patch_path(folder: Path, key: str) -> Path:
    """Where the difference of a dirty commit lies."""
    return folder / f"{key}.patch"
