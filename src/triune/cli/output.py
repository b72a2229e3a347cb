"""How results and errors reach the terminal: a table for people, JSON for programs."""

from __future__ import annotations

import dataclasses
import json
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from triune.cli.chosen import chosen
from triune.cli.layout import GAP, fit
from triune.core.errors import ConfigError, TriuneError
from triune.core.workspace import Workspace, find

if TYPE_CHECKING:
    from rich.console import Console, OverflowMethod
    from rich.table import Table

_UNLIMITED = 100_000
_NARROWEST = 20

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
    keep: int = 1,
    first_out: Sequence[str] = (),
    wrap: bool = False,
    empty: str = "",
) -> None:
    """Print rows as a table, one line each; without any, the sentence ``empty``.

    Where a terminal is too narrow, long cells are cut and then columns left out and named, those
    in ``first_out`` first; the first ``keep`` columns stay whole. With ``wrap`` nothing is cut or
    left out: cells go on in further lines. What is no terminal gets every cell whole in one line.
    """
    cells = [["" if cell is None else cell for cell in row] for row in rows]
    if not cells and empty:
        typer.echo(empty)
        return
    headers = [len(column) for column in columns]
    natural = [
        max([length, *(_longest(row[place]) for row in cells)])
        for place, length in enumerate(headers)
    ]
    console = screen()
    places = [place for name in first_out for place, known in enumerate(columns) if known == name]
    if wrap or not console.is_terminal:
        widths: dict[int, int | None] = dict.fromkeys(range(len(columns)))
    else:
        widths = dict(fit(natural, headers, console.width, keep=keep, first_out=places))
        console = screen(at_least=sum(w + GAP for w in widths.values() if w))
    console.print(_table(columns, cells, widths, wrap=wrap and console.is_terminal, keep=keep))
    left_out = [name for place, name in enumerate(columns) if place not in widths]
    if left_out:
        words = f"not shown: {', '.join(left_out)} (a wider window or --json shows them)"
        console.print(words, style="dim", soft_wrap=True, highlight=False)


def print_facts(facts: Iterable[tuple[str, object]], *, title: str = "") -> None:
    """Print names and values below each other.

    Long values go on in further lines, between words only: a word that is too long is left to
    the terminal, so that an address or a digest can be copied.
    """
    if title:
        typer.secho(title, bold=True)
    rows = [(name, "" if value is None else str(value)) for name, value in facts]
    indent = max((len(name) for name, _ in rows), default=0) + GAP
    room = max(screen().width - indent, _NARROWEST)
    for name, value in rows:
        lines = [part for line in value.splitlines() for part in _wrapped(line, room)] or [""]
        typer.echo(f"{name:<{indent}}{lines[0]}".rstrip())
        for line in lines[1:]:
            typer.echo(f"{'':<{indent}}{line}")


def _wrapped(line: str, width: int) -> list[str]:
    return textwrap.wrap(line, width, break_long_words=False, break_on_hyphens=False)


def screen(*, at_least: int = 0) -> Console:
    """Where results are printed: as wide as the terminal, or without limit where there is none."""
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        return Console(width=_UNLIMITED)
    return console if console.width >= at_least else Console(width=at_least)


def when(moment: datetime | int | float) -> str:
    """A moment (or microseconds since 1970) as people read it, in the machine's own time zone."""
    if not isinstance(moment, datetime):
        moment = datetime.fromtimestamp(moment / 1e6, UTC)
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def size(number: int) -> str:
    """A number of bytes with a fitting unit."""
    if number < 1000:
        return f"{number} B"
    value = number / 1000
    for unit in ("kB", "MB"):
        if value < 1000:
            return f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def many(count: int, noun: str) -> str:
    """``1 run``, ``2 runs``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}".replace(",", " ")


def _longest(cell: object) -> int:
    return max((len(line) for line in str(cell).splitlines()), default=0)


def _table(
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    widths: Mapping[int, int | None],
    *,
    wrap: bool,
    keep: int,
) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False, show_header=any(columns))
    for place, width in widths.items():
        whole = not wrap or place < keep
        overflow: OverflowMethod = "fold" if wrap else "ellipsis"
        table.add_column(Text(columns[place]), no_wrap=whole, overflow=overflow, width=width)
    for row in rows:
        cells = [row[place] for place in widths]
        table.add_row(*(cell if isinstance(cell, Text) else Text(str(cell)) for cell in cells))
    return table


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
