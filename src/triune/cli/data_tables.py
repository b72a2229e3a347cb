"""``triune data check`` and ``suggest``: what is expected of datasets."""

from __future__ import annotations

import typer

from triune.cli.output import JSON_OPTION, here, print_json, print_table
from triune.cli.spinner import spinner

NAMES = typer.Argument(None, help="Datasets by name; none means all that something is expected of.")
_EMPTY = "nothing is expected of any dataset; add `[[datasets.<name>.expect]]` to triune.toml"


def check(names: list[str] | None = NAMES, *, as_json: bool = JSON_OPTION) -> int:
    """Hold datasets against what triune.toml expects of them; exits with 8 when they fail."""
    from rich.console import Console

    from triune.app.context import Context

    context = Context(here())
    try:
        with Console(stderr=True, quiet=as_json).status("") as line:
            checked = [
                context.expectations.check(name, on_progress=line.update)
                for name in names or context.expectations.names()
            ]
    finally:
        context.close()
    failed = any(one.verdict != "pass" for one in checked)
    if as_json:
        print_json(checked)
        return _FAILED if failed else 0
    rows = [(c.name, c.verdict, c.files, c.rows, c.version) for c in checked]
    print_table(("dataset", "verdict", "files", "rows", "version"), rows, empty=_EMPTY)
    broken = [
        (f.file, f.column, f.rule, f.count, "; ".join(f.examples))
        for one in checked
        for f in one.failures
    ]
    if broken:
        print_table(("file", "column", "rule", "count", "examples"), broken, wrap=True)
    return _FAILED if failed else 0


def suggest(
    name: str = typer.Argument(help="The dataset."), *, as_json: bool = JSON_OPTION
) -> None:
    """Print expectations for triune.toml that the recorded version meets."""
    from triune.app.context import Context
    from triune.data.expect.toml import text

    context = Context(here())
    try:
        with spinner(quiet=as_json) as tell:
            found = context.expectations.suggest(name, on_progress=tell)
    finally:
        context.close()
    if as_json:
        expected = [t.model_dump(mode="json", exclude_defaults=True) for t in found.tables]
        facts = {"name": found.name, "version": found.version, "expect": expected}
        print_json({**facts, "skipped": found.skipped, "toml": text(found)})
        return
    typer.echo(text(found), nl=False)


_FAILED = 8
