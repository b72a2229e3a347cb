"""How the differences of tables are shown in a terminal."""

from __future__ import annotations

from collections.abc import Iterator

import typer
from rich.text import Text

from triune.cli.bars import both
from triune.cli.data_words import distance, schema, what
from triune.cli.output import many, print_table, show_error
from triune.core.errors import TriuneError
from triune.data.shift.model import ColumnShift, Level, Shares, Spread, TableShift, Unreadable

_COLOURS = {Level.LARGE: "red", Level.MODERATE: "yellow", Level.SMALL: "cyan"}
_HEADERS = ("column", "moved", "PSI", "KS", "before/after", "what")


def show(table: TableShift) -> None:
    """A table's rows, columns that came, went or moved, and what was not compared."""
    typer.echo("")
    if table.unreadable is not None:
        typer.secho(f"{table.name}: not compared", bold=True)
        show_error(_error(table.unreadable), as_json=False)
        return
    typer.secho(f"{table.name}: {_rows(table)}", bold=True)
    same = [column.name for column in table.columns if column.level is Level.SAME]
    rows = [*_schema(table), *(_row(c) for c in table.columns if c.level is not Level.SAME)]
    print_table(_HEADERS, rows, keep=5, wrap=True, empty="no column differs")
    for one in table.skipped:
        typer.echo(f"not compared: {one.column}: {one.why}")
    if same and rows:
        typer.echo(f"{many(len(same), 'column')} as before: {', '.join(same)}")


def _rows(table: TableShift) -> str:
    before, after = table.rows_before or 0, table.rows_after or 0
    if before == after:
        return many(after, "row")
    return f"{many(before, 'row')} to {many(after, 'row')} ({after - before:+d})"


def _schema(table: TableShift) -> Iterator[tuple[object, ...]]:
    for change in table.schema:
        yield change.column, change.change.value, "", "", "", schema(change)


def _row(column: ColumnShift) -> tuple[object, ...]:
    return (
        column.name,
        Text(column.level.value, style=_COLOURS.get(column.level, "")),
        _short(column.psi),
        _short(distance(column)),
        drawn(column),
        what(column),
    )


def drawn(column: ColumnShift) -> str:
    """Both histograms below each other; of categories a block for each of the most common values,
    the rest and the missing ones."""
    match column.detail:
        case Spread(histogram=found):
            return both(found.before, found.after) if found else ""
        case Shares(top=top, rest=rest):
            shown = [*top, rest]
            old = [*(one.before or 0.0 for one in shown), column.before.missing or 0.0]
            new = [*(one.after or 0.0 for one in shown), column.after.missing or 0.0]
            return both(old, new)


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _error(why: Unreadable) -> TriuneError:
    return TriuneError(why.error, why.message, context=why.context, hint=why.hint)
