"""restic: encrypted, deduplicated snapshots in a folder or an object store.

The password comes from a file, the object store's keys from the child's environment: no argument
shows them.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from triune.core.errors import Conflict, NotFound, Refused, TriuneError, Unavailable
from triune.core.parenthood import die_with_parent
from triune.data.backups.model import Repository
from triune.data.backups.ports import Progress

_TAIL = 5
_BAD = ("error", "damage", "fatal", "does not match", "missing")


@dataclass(frozen=True)
class Restic:
    """One repository. ``program`` is restic's path; ``cache`` a folder for its own index."""

    program: Path
    repository: Repository
    cache: Path

    def init(self) -> bool:
        if self._exists():
            return False
        self._run("init")
        return True

    def _exists(self) -> bool:
        try:
            self._run("cat", "config")
        except NotFound:
            return False
        return True

    def save(self, folder: Path, tags: Sequence[str], on_progress: Progress) -> tuple[str, int]:
        options = [word for tag in tags for word in ("--tag", tag)]
        summary: dict[str, Any] = {}
        for line in self._lines(
            *("backup", "--json", "--ignore-inode", "--ignore-ctime", "--host", "triune"),
            *(*options, "."),
            folder=folder,
        ):
            if line.get("message_type") == "summary":
                summary = line
            elif line.get("message_type") == "status":
                on_progress(f"{line.get('percent_done', 0.0):.0%} taken in")
        if not summary:
            raise self._failed(["backup"], "restic told nothing of what it saved")
        return str(summary["snapshot_id"]), int(summary["data_added"])

    def all(self) -> list[tuple[str, datetime, Sequence[str]]]:
        found = json.loads(self._run("snapshots", "--json") or "[]") or []
        rows = [
            (
                str(one["id"])[:8],
                datetime.fromisoformat(_seconds(one["time"])),
                one.get("tags") or [],
            )
            for one in found
        ]
        return sorted(rows, key=lambda row: row[1])

    def restore(self, identifier: str, folder: Path, on_progress: Progress) -> None:
        on_progress(f"restoring {identifier}")
        self._run("restore", identifier, "--target", str(folder))

    def check(self, on_progress: Progress) -> list[str]:
        on_progress("reading every byte of the repository")
        done = self._done("check", "--read-data")
        if done.returncode == 0:
            return []
        self._raise_known(done)
        lines = [*done.stdout.splitlines(), *done.stderr.splitlines()]
        bad = [x.strip() for x in lines if any(word in x.lower() for word in _BAD)]
        return sorted(bad, key=lambda x: x.startswith("Fatal")) or lines[-_TAIL:]

    def forget(self, keep: Mapping[str, int], never: Sequence[str], *, dry_run: bool) -> list[str]:
        options = [w for name, count in keep.items() for w in (f"--keep-{name}", str(count))]
        if not any(keep.values()):
            return []
        told = self._run("forget", "--dry-run", "--json", "--group-by", "host", *options)
        groups = json.loads(told.splitlines()[0]) if told.strip() else []
        gone = [str(one["id"])[:8] for group in groups for one in group.get("remove") or []]
        gone = [one for one in gone if one not in never]
        if gone and not dry_run:
            self._run("forget", "--prune", *gone)
        return gone

    def unlock(self) -> None:
        """restic's own `unlock` takes a process that has ended, and that nobody has waited for, for
        one that lives: such locks go as well, when no other's is among them."""
        held = [self._lock(one) for one in self._run("list", "locks", "--no-lock").split()]
        if not held:
            return
        dead = all(host == socket.gethostname() and not _lives(pid) for host, pid in held)
        self._run("unlock", *(["--remove-all"] if dead else []))

    def _lock(self, identifier: str) -> tuple[str, int]:
        """Who holds a lock: machine and process; of one that is gone meanwhile nobody."""
        try:
            told = json.loads(self._run("cat", "lock", identifier, "--no-lock"))
        except TriuneError:
            return socket.gethostname(), 0
        return str(told.get("hostname", "")), int(told.get("pid", 0))

    def _run(self, *words: str) -> str:
        done = self._done(*words)
        if done.returncode != 0:
            self._raise_known(done)
            raise self._failed(words, done.stderr)
        return done.stdout

    def _done(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.program), *words],
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            preexec_fn=die_with_parent,
        )

    def _lines(self, *words: str, folder: Path) -> Iterator[dict[str, Any]]:
        """restic's messages as they come."""
        with subprocess.Popen(
            [str(self.program), *words],
            env=self._environment(),
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=die_with_parent,  # noqa: PLW1509
        ) as child:
            assert child.stdout is not None
            assert child.stderr is not None
            for line in child.stdout:
                if line.startswith("{"):
                    yield json.loads(line)
            stderr = child.stderr.read()
        if child.returncode != 0:
            done = subprocess.CompletedProcess(words, child.returncode, "", stderr)
            self._raise_known(done)
            raise self._failed(words, stderr)

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.cache),
            "RESTIC_REPOSITORY": self.repository.url,
            "RESTIC_PASSWORD_FILE": str(self.repository.password_file),
            "RESTIC_CACHE_DIR": str(self.cache),
            "RESTIC_PROGRESS_FPS": "1",
            **self.repository.environment,
        }

    def _raise_known(self, done: subprocess.CompletedProcess[str]) -> None:
        """What people can mend has an error of its own."""
        told = f"{done.stdout}\n{done.stderr}".lower()
        where = self.repository.url
        if "wrong password or no key found" in told:
            raise Refused(
                "backup-password-wrong",
                "the password does not open the backup repository",
                context=f"{where}, {self.repository.password_file}",
                hint="Give the file with the password that the repository was made with.",
            )
        if "is there a repository" in told or "does not exist" in told:
            raise NotFound(
                "backup-repository-missing",
                "there is no backup repository",
                context=where,
                hint="`triune backup init` makes one; or name the right place in [backup].",
            )
        if "unable to create lock" in told or "already locked" in told:
            raise Conflict(
                "backup-repository-locked",
                "somebody else uses the backup repository",
                context=where,
                hint="Wait for it. After a crash: `triune backup unlock`.",
            )
        if "no space left" in told:
            raise Unavailable(
                "disk-full",
                "the disk is full",
                context=where,
                hint="Free some space; nothing that was there has changed.",
            )
        if "connection refused" in told or "dial tcp" in told:
            raise Unavailable(
                "backup-repository-unreachable",
                "the backup repository does not answer",
                context=where,
                hint="`triune up` starts the object store of profile `server`.",
            )

    def _failed(self, words: Sequence[str], stderr: str) -> TriuneError:
        lines = [line for line in stderr.strip().splitlines() if line.strip()]
        return TriuneError(
            "backup-failed",
            f"restic {words[0]}: {lines[-1] if lines else 'it said nothing'}",
            context=self.repository.url,
            hint="`triune backup check` looks through the repository.",
        )


def _lives(pid: int) -> bool:
    """Whether a process of this machine runs."""
    import psutil

    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _seconds(text: str) -> str:
    """An ISO time with at most microseconds: restic tells nanoseconds."""
    import re

    return re.sub(r"(\.\d{6})\d+", r"\1", text).replace("Z", "+00:00")
