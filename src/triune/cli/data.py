"""``triune data``: datasets and their versions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from triune.cli.output import JSON_OPTION, here, print_json, print_table

if TYPE_CHECKING:
    from triune.data.model import DatasetVersion, Status
    from triune.data.service import Data

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Build, version, check out and inspect datasets.",
)

NAMES = typer.Argument(None, help="Datasets by name; none means all that triune.toml declares.")
VERSION = typer.Argument(help="A reference, name@digest (may be shortened), or a name.")


@app.command()
def build(names: list[str] | None = NAMES, *, as_json: bool = JSON_OPTION) -> None:
    """Run the build function of datasets and put the results in place."""
    with _data() as data, _progress(quiet=as_json) as tell:
        wanted = names or [n for n in data.names() if data.buildable(n)]
        built = [data.build(name, on_progress=tell) for name in wanted]
    if as_json:
        print_json(built)
        return
    rows = [(b.name, b.path, b.files, _size(b.bytes), "yes" if b.changed else "no") for b in built]
    print_table(("dataset", "path", "files", "size", "changed"), rows)


@app.command()
def add(names: list[str] | None = NAMES, *, as_json: bool = JSON_OPTION) -> None:
    """Record the bytes of datasets as versions, in DVC, the remote and the ledger."""
    with _data() as data, _progress(quiet=as_json) as tell:
        versions = [data.add(name, on_progress=tell) for name in names or data.names()]
    _print_versions(versions, as_json)


@app.command()
def status(names: list[str] | None = NAMES, *, as_json: bool = JSON_OPTION) -> None:
    """Show how the bytes on disk stand to the versions recorded."""
    with _data() as data:
        found = [data.status(name) for name in names or data.names()]
    if as_json:
        print_json([_status_row(one) for one in found])
        return
    rows = [(s.name, s.state.value, s.version.ref if s.version else "", s.path) for s in found]
    print_table(("dataset", "state", "version", "path"), rows)
    for one in found:
        for change in one.changes:
            typer.echo(f"{one.name}: {change}")


@app.command()
def log(name: str = typer.Argument(help="The dataset."), *, as_json: bool = JSON_OPTION) -> None:
    """List every version of a dataset, the newest first."""
    with _data() as data:
        versions = list(data.log(name))
    _print_versions(versions, as_json)


@app.command()
def show(version: str = VERSION, *, as_json: bool = JSON_OPTION) -> None:
    """Show one version: its files, their hashes, rows and columns."""
    with _data() as data:
        found = data.find(version)
    if as_json:
        print_json(found)
        return
    typer.echo(f"{found.ref}  {found.at:%Y-%m-%d %H:%M:%S} UTC")
    typer.echo(f"{found.digest}  {found.count} files, {_size(found.bytes)}")
    rows = [
        (f.name, _size(f.bytes), f.rows, ", ".join(f.columns or ()), f.digest[7:19])
        for f in found.files
    ]
    print_table(("file", "size", "rows", "columns", "sha256"), rows)


@app.command()
def verify(names: list[str] | None = NAMES, *, as_json: bool = JSON_OPTION) -> None:
    """Check that every byte on disk is the recorded version's."""
    with _data() as data:
        versions = [data.current(name) for name in names or data.names()]
    _print_versions(versions, as_json)


@app.command()
def push(names: list[str] | None = NAMES, *, as_json: bool = JSON_OPTION) -> None:
    """Make sure that the recorded versions are in the remote."""
    with _data() as data:
        versions = [data.push(name) for name in names or data.names()]
    _print_versions(versions, as_json)


@app.command()
def checkout(
    version: str = VERSION,
    *,
    to: Path | None = typer.Option(None, "--to", help="An empty folder, instead of in place."),
    force: bool = typer.Option(False, "--force", help="Drop bytes that were never recorded."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Bring a version's files back, each checked against its hash."""
    with _data() as data:
        found = data.find(version)
        path = data.checkout(found, to) if to else data.restore(found, force=force).path
    if as_json:
        print_json({"version": found.ref, "path": path})
        return
    typer.echo(f"{found.ref} is in {path}")


@contextmanager
def _data() -> Iterator[Data]:
    from triune.app.context import Context

    context = Context(here())
    try:
        yield context.data
    finally:
        context.close()


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Callable[[str], None]]:
    if quiet:
        yield lambda _: None
        return
    from rich.console import Console

    with Console(stderr=True).status("") as line:
        yield line.update


def _print_versions(versions: list[DatasetVersion], as_json: bool) -> None:
    if as_json:
        print_json(versions)
        return
    rows = [(v.ref, f"{v.at:%Y-%m-%d %H:%M:%S}", v.count, _size(v.bytes)) for v in versions]
    print_table(("version", "recorded (UTC)", "files", "size"), rows)


def _status_row(status: Status) -> dict[str, Any]:
    return {
        "name": status.name,
        "path": status.path,
        "state": status.state.value,
        "words": status.state.sentence,
        "version": status.version.ref if status.version else None,
        "changes": list(status.changes),
    }


def _size(number: int) -> str:
    size = float(number)
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
