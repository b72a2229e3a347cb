"""How results and errors reach the terminal: a table for people, JSON for programs."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any

import typer

from triune.cli.chosen import chosen
from triune.core.errors import ConfigError, TriuneError
from triune.core.workspace import Workspace, find

_UNLIMITED = 100_000

JSON_OPTION = typer.Option(False, "--json", help="Print JSON instead of a table.")


def here() -> Workspace:
    """The workspace the command is about: ``--workspace`` or the current folder's."""
    named = chosen.get()
    return find(Path(named) if named else None)


def print_json(value: Any) -> None:
    """Print any result as JSON; dataclasses, dates, paths and enums are understood."""
    typer.echo(json.dumps(value, indent=2, default=_plain, ensure_ascii=False))


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Iterable):
        return list(value)
    import msgspec

    return msgspec.to_builtins(value)


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    title: str = "",
    keep: int = 1,
) -> None:
    """Print rows as a table, one line each.

    In a terminal cells are cut to fit, those of the first ``keep`` columns last; elsewhere every
    cell is whole, so that what is piped on can be searched.
    """
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        console = Console(width=_UNLIMITED)
    table = Table(title=title or None, box=None, header_style="bold", pad_edge=False)
    cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
    for place, column in enumerate(columns):
        longest = max([len(column), *(len(row[place]) for row in cells)])
        least = min(longest, console.width // 2) if place < keep else None
        table.add_column(column, no_wrap=True, overflow="ellipsis", min_width=least)
    for row in cells:
        table.add_row(*row)
    console.print(table)


def show_error(error: TriuneError, *, as_json: bool) -> None:
    """One error on stderr: reference, what, where, how to mend; as JSON on stdout if asked."""
    if as_json:
        print_json(error.as_dict())
        return
    lines = [f"error[{error.reference}]: {error.message}"]
    if error.context:
        lines.append(f"  where: {error.context}")
    if isinstance(error, ConfigError):
        lines += [f"  {p.key or p.file}: {p.what}. {p.mend}" for p in error.problems]
    if error.hint:
        lines.append(f"  next:  {error.hint}")
    print("\n".join(lines), file=sys.stderr)  # noqa: T201
