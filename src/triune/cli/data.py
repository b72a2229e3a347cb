"""``triune data``: datasets and their versions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from triune.cli import data_diff, data_run, data_tables
from triune.cli.opened import opened
from triune.cli.output import JSON_OPTION, here, many, print_json, print_table, size, when
from triune.cli.spinner import spinner

if TYPE_CHECKING:
    from triune.data.model import DatasetVersion, Status
    from triune.data.service import Data

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Build, version, check out and inspect datasets.",
)

_NO_DATASET = "triune.toml declares no dataset; add `[datasets.<name>]` with its `path`"
_NO_BUILD = "no dataset has a build function; add `build` to `[datasets.<name>]` in triune.toml"

NAMES = typer.Argument(None, help="Datasets by name; none means all that triune.toml declares.")
VERSION = typer.Argument(help="A reference, name@digest (may be shortened), or a name.")


@app.command()
def build(names: list[str] | None = NAMES, *, as_json: bool = JSON_OPTION) -> None:
    """Run the build function of datasets and put the results in place."""
    with _data() as data, spinner(quiet=as_json) as tell:
        wanted = names or [n for n in data.names() if data.buildable(n)]
        built = [data.build(name, on_progress=tell) for name in wanted]
    if as_json:
        print_json(built)
        return
    rows = [
        (b.name, _near(b.path), b.files, size(b.bytes), "yes" if b.changed else "no") for b in built
    ]
    print_table(("dataset", "path", "files", "size", "changed"), rows, empty=_NO_BUILD)


@app.command()
def add(names: list[str] | None = NAMES, *, as_json: bool = JSON_OPTION) -> None:
    """Record the bytes of datasets as versions, in DVC, the remote and the ledger."""
    with _data() as data, spinner(quiet=as_json) as tell:
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
    rows = [
        (s.name, s.state.value, s.version.ref if s.version else "none", _near(s.path))
        for s in found
    ]
    print_table(("dataset", "state", "version", "path"), rows, keep=3, empty=_NO_DATASET)
    for one in found:
        for change in one.changes:
            typer.echo(f"{one.name}: {change}")


@app.command()
def log(name: str = typer.Argument(help="The dataset."), *, as_json: bool = JSON_OPTION) -> None:
    """List every version of a dataset, the newest first."""
    with _data() as data:
        versions = list(data.log(name))
    _print_versions(
        versions, as_json, empty=f"no version of {name} yet; `triune data add {name}` records one"
    )


@app.command()
def show(version: str = VERSION, *, as_json: bool = JSON_OPTION) -> None:
    """Show one version: its files, their hashes, rows and columns."""
    with _data() as data:
        found = data.find(version)
    if as_json:
        print_json(found)
        return
    typer.echo(f"{found.ref}  {when(found.at)}")
    typer.echo(f"{found.digest}  {many(found.count, 'file')}, {size(found.bytes)}")
    rows = [
        (f.name, size(f.bytes), f.rows, f.digest[7:19], ", ".join(f.columns or ()))
        for f in found.files
    ]
    print_table(("file", "size", "rows", "sha256", "columns"), rows, wrap=True)


@app.command()
def verify(names: list[str] | None = NAMES, *, as_json: bool = JSON_OPTION) -> None:
    """Check that every byte on disk is the recorded version's."""
    with _data() as data:
        versions = [data.current(name) for name in names or data.names()]
    _print_versions(versions, as_json)


app.command()(data_run.run)
app.command()(data_run.stages)
app.command()(data_tables.check)
app.command()(data_tables.suggest)


@app.command()
def push(names: list[str] | None = NAMES, *, as_json: bool = JSON_OPTION) -> None:
    """Make sure that the recorded versions are in the remote."""
    with _data() as data:
        versions = [data.push(name) for name in names or data.names()]
    _print_versions(versions, as_json)


@app.command()
def pull(names: list[str] | None = NAMES, *, as_json: bool = JSON_OPTION) -> None:
    """Bring the recorded versions from the remote; what lies in their place stays."""
    with _data() as data, spinner(quiet=as_json) as tell:
        versions = []
        for name in names or data.names():
            tell(f"pulling {name}")
            versions.append(data.pull(name))
    _print_versions(versions, as_json)


app.command()(data_diff.diff)


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
    with opened() as context:
        yield context.data


def _print_versions(versions: list[DatasetVersion], as_json: bool, *, empty: str = "") -> None:
    if as_json:
        print_json(versions)
        return
    rows = [(v.ref, when(v.at), v.count, size(v.bytes)) for v in versions]
    print_table(("version", "recorded", "files", "size"), rows, empty=empty or _NO_DATASET)


def _near(path: str | Path) -> str:
    """A path below the workspace as it is written in triune.toml."""
    root = here().root
    return str(Path(path).relative_to(root)) if Path(path).is_relative_to(root) else str(path)


def _status_row(status: Status) -> dict[str, Any]:
    return {
        "name": status.name,
        "path": status.path,
        "state": status.state.value,
        "words": status.state.sentence,
        "version": status.version.ref if status.version else None,
        "changes": list(status.changes),
    }
