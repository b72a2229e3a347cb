"""Running an engine as a user who may do nothing, when we are root."""

from __future__ import annotations

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path

from triune.core.errors import MissingEngine


@dataclass(frozen=True, slots=True)
class Account:
    """A user of this machine."""

    name: str
    uid: int
    gid: int


def nobody() -> Account:
    """The user ``nobody``; raises `MissingEngine` (``user-missing``) where there is none."""
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        raise MissingEngine(
            "user-missing",
            "this machine has no user 'nobody' for PostgreSQL to run as",
            hint="Add one (`useradd --system nobody`), or run Triune as an ordinary user.",
        ) from None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def reachable(program: Path, account: Account) -> bool:
    """Whether the account may enter every folder above the program and run it."""
    path = program.resolve()
    if not all(_allowed(folder, account, stat.S_IXOTH) for folder in path.parents):
        return False
    return _allowed(path, account, stat.S_IXOTH | stat.S_IROTH)


def _allowed(path: Path, account: Account, bits: int) -> bool:
    status = path.stat()
    shift = 0
    if status.st_uid == account.uid:
        shift = 6
    elif status.st_gid == account.gid:
        shift = 3
    return (status.st_mode >> shift) & bits == bits


def give(path: Path, account: Account | None) -> None:
    """Make the path the account's own; nothing to do when there is no other account."""
    if account is not None:
        os.chown(path, account.uid, account.gid)
