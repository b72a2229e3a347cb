"""``triune backup``: backups, and the proof that they can be restored."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from triune.cli.opened import opened
from triune.cli.output import (
    JSON_OPTION,
    many,
    print_facts,
    print_json,
    print_table,
    size,
    when,
)
from triune.cli.spinner import spinner

if TYPE_CHECKING:
    from triune.data.backups.model import Proof
    from triune.data.backups.service import Backups

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Back everything up, and prove it by restoring it.",
)

ID = typer.Argument("", help="A backup's id or its beginning; empty means the newest.")
_FAILED = 8


@app.command()
def init(*, as_json: bool = JSON_OPTION) -> None:
    """Make the repository where it is missing."""
    with _backups() as backups:
        made = backups.init()
    if as_json:
        print_json({"made": made})
        return
    typer.echo("the repository is made" if made else "the repository is there already")


@app.command()
def run(*, as_json: bool = JSON_OPTION) -> None:
    """Make a backup of databases, artifacts and workspace as of one point."""
    with _backups() as backups, spinner(quiet=as_json) as tell:
        made = backups.run(on_progress=tell)
    if as_json:
        print_json(made)
        return
    typer.echo(
        f"backup {made.id}: {many(made.files, 'file')}, {size(made.bytes)} new. It counts once it "
        f"has passed `triune backup drill`."
    )


@app.command("list")
def list_backups(*, as_json: bool = JSON_OPTION) -> None:
    """List backups, the newest first, and what their drills said."""
    with _backups() as backups:
        found = backups.all()
    if as_json:
        print_json(found)
        return
    rows = [
        (b.id, when(b.at), b.files, size(b.bytes), b.verdict or "not drilled",
         when(b.drilled) if b.drilled else "")
        for b in found
    ]  # fmt: skip
    print_table(
        ("backup", "made", "files", "new", "drill", "drilled"),
        rows,
        empty="no backup yet; `triune backup run` makes one",
    )


@app.command()
def check(*, as_json: bool = JSON_OPTION) -> int:
    """Read every byte of the repository; exits with 8 when something is wrong."""
    with _backups() as backups, spinner(quiet=as_json) as tell:
        proof = backups.check(on_progress=tell)
    return _show(proof, as_json)


@app.command()
def drill(identifier: str = ID, *, as_json: bool = JSON_OPTION) -> int:
    """Restore a backup beside the workspace and prove it there; exits with 8 when it fails."""
    with _backups() as backups, spinner(quiet=as_json) as tell:
        proof = backups.drill(identifier, on_progress=tell)
    return _show(proof, as_json)


@app.command()
def restore(
    identifier: str = ID,
    *,
    into: Path = typer.Option(..., "--into", help="An empty or absent folder."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Restore a backup into a folder, with its databases and objects."""
    with _backups() as backups, spinner(quiet=as_json) as tell:
        manifest = backups.restore(into.resolve(), identifier, on_progress=tell)
    if as_json:
        print_json({"into": into, "at": manifest.at, "files": len(manifest.files)})
        return
    typer.echo(f"{many(len(manifest.files), 'file')} as of {manifest.at} are in {into}")


@app.command()
def prune(
    *,
    dry_run: bool = typer.Option(False, "--dry-run", help="Only show what would be dropped."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Drop backups that the retention does not keep; the last proven one stays."""
    with _backups() as backups, spinner(quiet=as_json) as tell:
        gone = backups.prune(dry_run=dry_run, on_progress=tell)
    if as_json:
        print_json({"dropped": gone, "dry_run": dry_run})
        return
    typer.echo(f"{many(len(gone), 'backup')} {'would be' if dry_run else 'were'} dropped")


@app.command()
def recover(
    *,
    dry_run: bool = typer.Option(False, "--dry-run", help="Only show what would come back."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Bring back what somebody deleted or overwrote in a repository with `locked_days`."""
    with _backups() as backups:
        found = backups.recover(dry_run=dry_run)
    if as_json:
        print_json({"objects": found, "dry_run": dry_run})
        return
    would = "would come" if dry_run else "came"
    typer.echo(f"{many(len(found), 'object')} {would} back; `triune backup check` proves them")


@app.command()
def schedule(*, as_json: bool = JSON_OPTION) -> None:
    """Show when backups and drills happen by themselves: while `triune up` runs and the workspace
    has a [backup] table."""
    from datetime import UTC, datetime

    from triune.core.cron import following

    with _backups() as backups:
        table, now = backups.table, datetime.now(UTC)
    found: dict[str, dict[str, Any]] = {
        "backup": {"cron": table.schedule, "next": following(table.schedule, now)},
        "drill": {"cron": table.drill, "next": following(table.drill, now)},
    }
    if as_json:
        print_json(found)
        return
    rows = [(name, one["cron"], when(one["next"])) for name, one in found.items()]
    print_table(("what", "cron (UTC)", "next"), rows)


@app.command()
def unlock(*, as_json: bool = JSON_OPTION) -> None:
    """Remove locks of the repository whose holder is dead."""
    with _backups() as backups:
        backups.unlock()
    if as_json:
        print_json({"unlocked": True})
        return
    typer.echo("stale locks are gone")


@app.command()
def key(*, as_json: bool = JSON_OPTION) -> None:
    """Show where the repository is, and the file with its password: keep a copy of it elsewhere."""
    from triune.app import backups

    with opened() as context:
        found = backups.repository_of(context)
    if as_json:
        print_json({"repository": found.url, "password_file": found.password_file})
        return
    print_facts([("repository", found.url), ("password file", found.password_file)])
    typer.echo("Without a copy of that file elsewhere, the loss of this disk loses every backup.")


def _show(proof: Proof, as_json: bool) -> int:
    if as_json:
        print_json(proof)
    else:
        typer.echo(f"{proof.verdict}: {proof.words}")
        for problem in proof.problems[1:]:
            typer.echo(f"  {problem}")
        took = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in proof.seconds.items())
        typer.echo(f"took: {took}")
    return 0 if proof.verdict == "pass" else _FAILED


@contextmanager
def _backups() -> Iterator[Backups]:
    with opened() as context:
        yield context.backups
