"""``triune data diff``: what changed between two versions of a dataset."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from triune.cli import data_plot, data_shift
from triune.cli.output import JSON_OPTION, here, many, print_json, print_table, size
from triune.cli.spinner import spinner

if TYPE_CHECKING:
    from triune.data.comparison import Comparison
    from triune.data.shift.service import Differences

BEFORE = typer.Argument(help="A version, or a dataset by name: its recorded version.")
AFTER = typer.Argument("", help="Another version; default: what lies on disk.")
FILES = typer.Option(None, "--files", help="A glob: all tables that match are one table.")
TABLES = typer.Option(True, "--tables/--no-tables", help="Look into tables, or only list files.")
PLOT = typer.Option(None, "--plot", help="Draw the columns that moved: .png, .svg or .html.")


def diff(
    before: str = BEFORE,
    after: str = AFTER,
    *,
    files: str | None = FILES,
    tables: bool = TABLES,
    plot: Path | None = PLOT,
    as_json: bool = JSON_OPTION,
) -> int:
    """Show which files differ, and in tables which columns, types and distributions."""
    from triune.app.context import Context

    if plot is not None:
        data_plot.check(plot)
    context = Context(here())
    try:
        with spinner(quiet=as_json) as tell:
            found = context.shifts.diff(before, after, files=files, tables=tables, on_progress=tell)
    finally:
        context.close()
    if plot is not None:
        data_plot.write(found, plot)
    if as_json:
        print_json(_plain(found, plot))
    else:
        _show(found, plot)
    return max((t.unreadable.exit_code for t in found.tables if t.unreadable), default=0)


def _show(found: Differences, plot: Path | None) -> None:
    _show_files(found.comparison)
    for table in found.tables:
        data_shift.show(table)
    if plot is not None:
        typer.echo(f"\ndrawn in {plot}")


def _show_files(found: Comparison) -> None:
    rows = [
        (
            one.name,
            one.change.value,
            size(one.before.bytes) if one.before else "",
            size(one.after.bytes) if one.after else "",
            "; ".join(one.words),
        )
        for one in found.files
    ]
    print_table(("file", "change", "before", "after", "what"), rows, empty="nothing differs")
    typer.echo(f"{found.before} to {found.after}; {many(found.unchanged, 'file')} unchanged")


def _plain(found: Differences, plot: Path | None) -> dict[str, Any]:
    return {
        "before": found.comparison.before,
        "after": found.comparison.after,
        "files": found.comparison.files,
        "unchanged": found.comparison.unchanged,
        "tables": found.tables,
        "plot": plot.resolve() if plot else None,
    }
