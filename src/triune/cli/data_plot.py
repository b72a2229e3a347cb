"""The columns of tables that moved, as one picture: a small panel each, the furthest first."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from triune.cli.bars import shares
from triune.cli.data_words import distance, percent, short
from triune.core.errors import UsageError
from triune.core.files import write_atomic
from triune.data.shift.model import ColumnShift, Kind, Level, Shares, Spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from triune.data.shift.service import Differences

ENDINGS = (".png", ".svg", ".html")
MOST = 60
"""No more panels are drawn: nobody looks at them."""
_ACROSS = 3
_BEFORE, _AFTER = "#8a8f98", "#d1495b"


@dataclass(frozen=True, slots=True)
class Panel:
    """A column, and the table it is in where there are several."""

    column: ColumnShift
    table: str


def check(path: Path) -> None:
    """Raises `UsageError` (``plot-format-unknown``) for a file that is no picture."""
    if path.suffix.lower() not in ENDINGS:
        raise UsageError(
            "plot-format-unknown",
            f"{path.suffix or 'a file without an ending'} is no kind of picture that is drawn",
            context=str(path),
            hint="Name a file that ends in .png, .svg or .html.",
        )


def write(found: Differences, path: Path) -> None:
    """Draw into a file, in the format of its ending."""
    title = f"{found.comparison.before} to {found.comparison.after}"
    figure = draw(panels(found), title)
    if path.suffix.lower() == ".html":
        write_atomic(path, _page(title, _saved(figure, "svg").decode()))
    else:
        write_atomic(path, _saved(figure, path.suffix.lower()[1:]))


def panels(found: Differences) -> list[Panel]:
    """The columns that differ, of all tables, the furthest moved first."""
    several = len(found.tables) > 1
    moved = [
        Panel(column, table.name if several else "")
        for table in found.tables
        for column in table.columns
        if column.level not in {Level.SAME, Level.UNKNOWN}
    ]
    return sorted(moved, key=lambda panel: -(panel.column.psi or 0.0))


def draw(moved: list[Panel], title: str) -> Figure:
    """The whole picture; with nothing that moved it says so."""
    from matplotlib.figure import Figure

    shown = moved[:MOST]
    down = max(-(-len(shown) // _ACROSS), 1)
    figure = Figure(figsize=(4.2 * _ACROSS, 2.5 * down + 0.8), layout="constrained")
    left_out = f", {len(moved) - MOST} more not drawn" if len(moved) > MOST else ""
    words = left_out if moved else ": no column moved"
    figure.suptitle(f"{title}{words}", fontsize=11, parse_math=False)
    axes = figure.subplots(down, _ACROSS, squeeze=False).flat
    for panel, where in zip(shown, axes, strict=False):
        _panel(panel, where)
    for where in list(axes)[len(shown) :]:
        where.set_axis_off()
    if shown:
        figure.legend(
            handles=_keys(), loc="outside lower center", ncols=2, frameon=False, fontsize=9
        )
    return figure


def _panel(panel: Panel, where: Axes) -> None:
    column = panel.column
    match column.detail:
        case Spread():
            _spread(column, column.detail, where)
        case Shares():
            _shares(column, column.detail, where)
    where.set_title(_title(panel), fontsize=9, loc="left", parse_math=False)
    where.tick_params(labelsize=7)
    where.spines[["top", "right"]].set_visible(False)


def _title(panel: Panel) -> str:
    column = panel.column
    where = f"{short(panel.table)}: " if panel.table else ""
    figures = [f"PSI {column.psi:.3f} ({column.level.value})" if column.psi is not None else ""]
    ks = distance(column)
    figures.append(f"KS {ks:.3f}" if ks is not None else "")
    if column.before.missing != column.after.missing:
        missing = (percent(facts.missing or 0.0) for facts in (column.before, column.after))
        figures.append(f"missing {' → '.join(missing)}")
    return f"{where}{short(column.name)}\n{', '.join(filter(None, figures))}"


def _spread(column: ColumnShift, detail: Spread, where: Axes) -> None:
    if detail.histogram is None:
        return
    edges: Any = detail.histogram.edges
    if column.kind is Kind.TIME:
        edges = _moments(edges, where)
    for counts, colour, filled in (
        (detail.histogram.before, _BEFORE, True),
        (detail.histogram.after, _AFTER, False),
    ):
        where.stairs(shares(counts), edges, fill=filled, color=colour, alpha=0.55 if filled else 1)
    where.set_ylim(bottom=0.0)
    where.yaxis.set_major_formatter(_percent)


def _moments(edges: tuple[float, ...], where: Axes) -> Any:
    """Edges as days for the axis; as plain seconds outside of the years that it can name."""
    from matplotlib import dates

    days = [edge / 86_400.0 for edge in edges]
    if not -719_000 < days[0] < days[-1] < 2_932_000:
        return edges
    named: Any = dates  # it has no types of its own
    locator = named.AutoDateLocator(maxticks=5)
    where.xaxis.set_major_locator(locator)
    where.xaxis.get_offset_text().set_fontsize(7)
    where.xaxis.set_major_formatter(named.ConciseDateFormatter(locator))
    return days


def _shares(column: ColumnShift, detail: Shares, where: Axes) -> None:
    rows = [(short(one.value), one.before, one.after) for one in detail.top]
    rest, facts = detail.rest, (column.before, column.after)
    if rest.before or rest.after:
        rows.append(("(others)", rest.before, rest.after))
    if facts[0].missing or facts[1].missing:
        rows.append(("(missing)", facts[0].missing, facts[1].missing))
    places = range(len(rows))
    where.barh([p - 0.2 for p in places], [old or 0.0 for _, old, _ in rows], 0.4, color=_BEFORE)
    where.barh([p + 0.2 for p in places], [new or 0.0 for _, _, new in rows], 0.4, color=_AFTER)
    where.set_yticks(list(places), [name for name, _, _ in rows], parse_math=False)
    where.invert_yaxis()
    where.xaxis.set_major_formatter(_percent)


def _percent(share: float, _: object) -> str:
    return percent(share)


def _keys() -> list[Any]:
    from matplotlib.patches import Patch

    return [Patch(color=_BEFORE, label="before"), Patch(color=_AFTER, label="after")]


def _saved(figure: Figure, kind: str) -> bytes:
    """The same picture for the same data: no date, no program, no random names."""
    from matplotlib import rc_context

    image = io.BytesIO()
    unsaid: dict[str, Any] = {"Date": None} if kind == "svg" else {"Software": None}
    with warnings.catch_warnings(), rc_context({"svg.hashsalt": "triune"}):
        warnings.filterwarnings("ignore", message="Glyph")  # a letter that the font lacks is a box
        figure.savefig(image, format=kind, dpi=120, metadata=unsaid)
    return image.getvalue()


def _page(title: str, svg: str) -> str:
    name = escape(title)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{name}</title>'
        "<style>svg{max-width:100%;height:auto}</style></head>"
        f"<body>{svg[svg.index('<svg') :]}</body></html>\n"
    )
