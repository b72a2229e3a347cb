"""How differences of tables are told: words, bars, the table in a terminal, the picture."""

from __future__ import annotations

import doctest
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triune.cli import bars, data_plot, data_shift, data_words
from triune.core.errors import UsageError
from triune.data.comparison import Comparison
from triune.data.shift.model import (
    CategoryFacts,
    ColumnShift,
    Histogram,
    Kind,
    Level,
    NumberFacts,
    SchemaChange,
    SchemaKind,
    Shares,
    Skipped,
    Spread,
    TableShift,
    TimeFacts,
    Unreadable,
    ValueShare,
)
from triune.data.shift.service import Differences

HISTOGRAM = Histogram((0.0, 1.0, 2.0), (3, 1), (1, 3))


def number(mean: float, missing: float = 0.0) -> NumberFacts:
    return NumberFacts(4, missing, mean, 1.0, 0.0, 0.0, 0.5, 1.0, 1.5, 2.0, 2.0)


PRICE = ColumnShift(
    "price $x$", Kind.NUMBER, Level.LARGE, 0.5, 0.01, number(1.0), number(2.0, 0.25),
    Spread(HISTOGRAM, 0.4, 0.01, (4, 4)),
)  # fmt: skip
SHOP = ColumnShift(
    "shop", Kind.CATEGORY, Level.SMALL, 0.05, 0.01, CategoryFacts(4, 0.0, 2),
    CategoryFacts(4, 0.0, 2),
    Shares((ValueShare("<b>", 0.75, 0.5), ValueShare("日本", 0.0, 0.5)), ValueShare("", 0.25, 0.0),
           ("日本",), 1, ("a", "b", "c", "d"), 9),
)  # fmt: skip
AT = ColumnShift(
    "at", Kind.TIME, Level.CHANCE, 0.0, 0.01,
    TimeFacts(4, 0.0, "2026-01-01T00:00:00Z", "2026-01-31T00:00:00Z"),
    TimeFacts(4, 0.0, "2026-01-01T00:00:00Z", "2026-02-01T10:00:00.5Z"),
    Spread(Histogram((1.767e9, 1.768e9, 1.769e9), (3, 1), (1, 3)), 0.0, 1.0, (4, 4)),
)  # fmt: skip
FAR = ColumnShift(
    "far", Kind.TIME, Level.CHANCE, 0.0, 0.01, AT.before, AT.after,
    Spread(Histogram((-1e14, 0.0, 1e14), (3, 1), (1, 3)), 0.0, 1.0, (4, 4)),
)  # fmt: skip
NOTHING = ColumnShift(
    "nothing", Kind.NUMBER, Level.CHANCE, 0.0, 0.01, number(1.0), number(1.0),
    Spread(None, None, None, (0, 0)),
)  # fmt: skip
SAME = ColumnShift(
    "same", Kind.NUMBER, Level.SAME, 0.0, 0.01, number(1.0), number(1.0),
    Spread(HISTOGRAM, 0.0, 1.0, (4, 4)),
)  # fmt: skip
TABLE = TableShift(
    "t.csv", "t.csv", 4, 5,
    (SchemaChange("code", SchemaKind.RETYPED, "BIGINT", "VARCHAR"),
     SchemaChange("old", SchemaKind.REMOVED, "DATE", None),
     SchemaChange("new", SchemaKind.ADDED, None, "DATE")),
    (PRICE, SHOP, AT, FAR, NOTHING, SAME), (Skipped("tags", "nested"),),
)  # fmt: skip
BROKEN = TableShift("u.csv", "u.csv", unreadable=Unreadable("table-broken", "m", "w", "h", 6))
FOUND = Differences(Comparison("dataset:d@1", "on disk", (), 0), (TABLE, BROKEN))


@pytest.mark.parametrize("module", [bars, data_words])
def test_every_example_gives_what_it_says(module: Any) -> None:
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0


@given(st.lists(st.integers(0, 10**6), max_size=30), st.lists(st.integers(0, 9), max_size=30))
def test_two_histograms_have_a_block_for_each_bin(before: list[int], after: list[int]) -> None:
    first, second = bars.both(before, after).split("\n")
    assert (len(first), len(second)) == (len(before), len(after))
    for line, counts in ((first, before), (second, after)):
        assert [letter == bars.EMPTY for letter in line] == [count == 0 for count in counts]


def test_the_words_name_what_differs_and_nothing_else() -> None:
    assert data_words.what(PRICE) == "missing 0 % → 25 %; mean 1 → 2"
    assert data_words.what(SHOP) == "new: 日本; gone: a, b, c and 6 more; <b> 75 % → 50 %"
    assert data_words.what(AT) == "to 2026-01-31 → 2026-02-01 10:00:00"
    assert data_words.what(SAME) == ""
    assert [data_words.schema(one) for one in TABLE.schema] == [
        "type BIGINT → VARCHAR",
        "column gone, was DATE",
        "new column, DATE",
    ]


def test_a_table_in_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    data_shift.show(TABLE)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "t.csv: 4 rows to 5 rows (+1)"
    (place,) = [n for n, line in enumerate(lines) if line.startswith("price")]
    assert "large  " in lines[place]
    assert "0.500  0.400  █▃" in lines[place]
    assert lines[place + 1].strip() == "▃█"
    assert "not compared: tags: nested" in lines
    assert "1 column as before: same" in lines


def test_a_table_that_cannot_be_read_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    data_shift.show(BROKEN)
    told = capsys.readouterr()
    assert "u.csv: not compared" in told.out
    assert told.err.splitlines() == ["error[table-broken]: m", "  where: w", "  next:  h"]


def test_only_what_moved_is_drawn_the_furthest_first() -> None:
    names = [panel.column.name for panel in data_plot.panels(FOUND)]
    assert names == ["price $x$", "shop", "at", "far", "nothing"]


@pytest.mark.parametrize(
    ("name", "begin"), [("p.png", b"\x89PNG"), ("p.SVG", b"<?xml"), ("p.html", b"<!doctype html>")]
)
def test_the_picture_in_each_format_is_the_same_each_time(
    tmp_path: Path, name: str, begin: bytes
) -> None:
    path = tmp_path / name
    data_plot.check(path)
    data_plot.write(FOUND, path)
    first = path.read_bytes()
    assert first.startswith(begin)
    data_plot.write(FOUND, path)
    assert path.read_bytes() == first


def test_the_page_holds_a_whole_drawing(tmp_path: Path) -> None:
    path = tmp_path / "p.html"
    data_plot.write(FOUND, path)
    (drawing,) = re.findall(r"<svg.*</svg>", path.read_text(), re.DOTALL)
    assert ElementTree.fromstring(drawing).tag.endswith("svg")


def test_without_anything_that_moved_the_picture_says_so() -> None:
    figure = data_plot.draw([], "a to b")
    assert figure.get_suptitle() == "a to b: no column moved"


def test_more_panels_than_anybody_looks_at_are_counted() -> None:
    panels = [data_plot.Panel(PRICE, "")] * (data_plot.MOST + 2)
    figure = data_plot.draw(panels, "a to b")
    assert figure.get_suptitle() == "a to b, 2 more not drawn"
    assert sum(axes.axison for axes in figure.axes) == data_plot.MOST


@pytest.mark.parametrize("name", ["p.jpg", "p"])
def test_another_format_is_refused(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        data_plot.check(Path(name))
    assert caught.value.reference == "plot-format-unknown"
