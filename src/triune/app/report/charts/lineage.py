"""What a prediction was made from, drawn in layers from left to right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from triune.app.report.charts.layers import Passing, Place, arrange
from triune.app.report.charts.svg import WIDTH, Point, drawing, el, label
from triune.core.ids import key_of, kind_of
from triune.ledger.envelope import Edge

BOX_HEIGHT, THIN, GAP, MARGIN = 66.0, 10.0, 14.0, 10.0
WIDEST_BOX, LEAST_SPACE = 150.0, 26.0
_ROOM = 17


def draw(root: str, edges: Sequence[Edge]) -> str:
    """Boxes for what was made, lines of descent; each says its whole name on hover."""
    made = arrange(root, [(edge.child, edge.parent) for edge in edges])
    count = len(made.columns)
    wide = min(WIDEST_BOX, (WIDTH - LEAST_SPACE * (count - 1)) / count)
    space = (WIDTH - wide * count) / max(count - 1, 1)
    height = max(_tall(column) for column in made.columns) + 2 * MARGIN
    places: dict[Place, Point] = {}
    for layer, column in enumerate(made.columns):
        y = (height - _tall(column)) / 2
        for place in column:
            places[place] = (layer * (wide + space), y)
            y += _height(place) + GAP
    roles = {(edge.child, edge.parent): edge.role for edge in edges}
    return drawing(
        height,
        *(_descent(way, places, wide, roles[ends]) for ends, way in made.ways.items()),
        *(_box(place, at, wide) for place, at in places.items() if isinstance(place, str)),
        title=f"Lineage of {root}",
        words=f"{root} descends from {', '.join(sorted({p for _, p in made.ways}))}.",
    )


def _height(place: Place) -> float:
    return THIN if isinstance(place, Passing) else BOX_HEIGHT


def _tall(column: Sequence[Place]) -> float:
    return sum(_height(place) + GAP for place in column) - GAP


def _descent(way: Sequence[Place], places: Mapping[Place, Point], wide: float, role: str) -> str:
    """A curve from the child's right side, through every layer, to the parent's left side."""
    points: list[Point] = []
    for place in way:
        x, y = places[place]
        middle = y + _height(place) / 2
        points += [(x, middle), (x + wide, middle)]
    points = points[1:-1]
    steps = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    for (x1, y1), (x2, y2) in pairwise(points):
        bend = (x2 - x1) / 2
        steps.append(f"C{x1 + bend:.1f} {y1:.1f} {x2 - bend:.1f} {y2:.1f} {x2:.1f} {y2:.1f}")
    words = f"{way[0]} was made from {way[-1]} ({role})"
    return el("path", el("title", text=words), d=" ".join(steps), cls="descent")


def _box(ref: str, at: Point, wide: float) -> str:
    x, y = at
    kind, (name, tail) = kind_of(ref), split(ref)
    return el(
        "g",
        el("title", text=ref),
        el("rect", x=x, y=y, width=wide, height=BOX_HEIGHT, rx=8, cls="node-box"),
        el("rect", x=x, y=y + 9, width=4, height=BOX_HEIGHT - 18, rx=2, cls="node-edge"),
        label((x + 13, y + 19), kind, "node-kind"),
        label((x + 13, y + 38), name, "node-key"),
        label((x + 13, y + 55), tail, "node-tail"),
        cls=f"node k-{kind}",
    )


def split(ref: str) -> tuple[str, str]:
    """A reference's key as two short lines: name and version, or the parts of an id."""
    key = key_of(ref)
    name, at, version = key.partition("@")
    if at:
        return _short(name), _short(f"@{version}")
    sha, plus, _ = key.partition("+")
    if plus:
        return sha[:12], "with changes"
    if kind_of(ref) in ("prediction", "run"):
        return key[:13], key[13:30] + "…"
    return key[:12], _short(key[12:])


def _short(text: str) -> str:
    return text if len(text) <= _ROOM else text[: _ROOM - 1] + "…"
