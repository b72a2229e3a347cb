"""What a prediction was made from, drawn in layers from left to right."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from triune.app.report.charts.svg import WIDTH, Point, drawing, el, label
from triune.core.ids import key_of, kind_of
from triune.ledger.envelope import Edge

BOX_HEIGHT, ROW_GAP, MARGIN = 50.0, 22.0, 16.0
WIDEST_BOX, LEAST_GAP = 172.0, 34.0
_SHOWN = 21


def draw(root: str, edges: Sequence[Edge]) -> str:
    """Boxes for what was made, arrows of descent; each box says its whole name on hover."""
    columns = layers(root, edges)
    gap = max(LEAST_GAP, 40.0)
    wide = min(WIDEST_BOX, (WIDTH - gap * (len(columns) - 1)) / max(len(columns), 1))
    gap = (WIDTH - wide * len(columns)) / max(len(columns) - 1, 1)
    tallest = max(len(column) for column in columns)
    height = tallest * (BOX_HEIGHT + ROW_GAP) - ROW_GAP + 2 * MARGIN
    places = {
        ref: (x * (wide + gap), _top(row, len(column), height))
        for x, column in enumerate(columns)
        for row, ref in enumerate(column)
    }
    return drawing(
        height,
        *(_arrow(places, edge, wide) for edge in _once(edges) if edge.parent in places),
        *(_box(ref, at, wide) for ref, at in places.items()),
        title=f"Lineage of {root}",
        words=f"{root} descends from {', '.join(sorted(set(places) - {root}))}.",
    )


def layers(root: str, edges: Iterable[Edge]) -> list[list[str]]:
    """Every node in the layer after its last child, each layer ordered to cross few arrows."""
    parents: dict[str, list[str]] = {}
    children: dict[str, list[str]] = {}
    for edge in _once(edges):
        parents.setdefault(edge.child, []).append(edge.parent)
        children.setdefault(edge.parent, []).append(edge.child)
    depth = _depths(root, parents)
    columns: list[list[str]] = [[] for _ in range(max(depth.values()) + 1)]
    for ref in depth:
        columns[depth[ref]].append(ref)
    for column in columns[1:]:
        rows = {ref: i for layer in columns for i, ref in enumerate(layer)}
        column.sort(key=lambda ref: (_middle(children[ref], rows), ref))
    return columns


def _depths(root: str, parents: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """The longest way from the root to each node."""
    depth = {root: 0}
    waiting = [root]
    while waiting:
        ref = waiting.pop()
        for parent in parents.get(ref, ()):
            if depth[ref] + 1 > depth.get(parent, -1):
                if depth[ref] > len(parents) + 1:
                    raise ValueError(f"the lineage of {root} goes in a circle")
                depth[parent] = depth[ref] + 1
                waiting.append(parent)
    return depth


def _middle(children: Sequence[str], rows: Mapping[str, int]) -> float:
    known = [rows[child] for child in children if child in rows]
    return sum(known) / len(known) if known else 0.0


def _once(edges: Iterable[Edge]) -> list[Edge]:
    return list({(edge.child, edge.parent): edge for edge in edges}.values())


def _top(row: int, rows: int, height: float) -> float:
    return (height - (rows * (BOX_HEIGHT + ROW_GAP) - ROW_GAP)) / 2 + row * (BOX_HEIGHT + ROW_GAP)


def _box(ref: str, at: Point, wide: float) -> str:
    x, y = at
    kind = kind_of(ref)
    return el(
        "g",
        el("title", text=ref),
        el("rect", x=x, y=y, width=wide, height=BOX_HEIGHT, rx=8, cls="node-box"),
        el("rect", x=x, y=y + 8, width=4, height=BOX_HEIGHT - 16, rx=2, cls="node-edge"),
        label((x + 14, y + 20), kind, "node-kind"),
        label((x + 14, y + 38), short(ref), "node-key"),
        cls=f"node k-{kind}",
    )


def short(ref: str) -> str:
    """A reference's key, short enough for a box."""
    key = key_of(ref)
    if kind_of(ref) in ("prediction", "run"):
        return f"{key[:8]}…{key[-6:]}"
    if kind_of(ref) == "commit":
        sha, _, dirty = key.partition("+")
        return sha[:12] + (" + changes" if dirty else "")
    return key if len(key) <= _SHOWN else f"{key[: _SHOWN - 8]}…{key[-7:]}"


def _arrow(places: Mapping[str, Point], edge: Edge, wide: float) -> str:
    (x1, y1), (x2, y2) = places[edge.child], places[edge.parent]
    start, end = (x1 + wide, y1 + BOX_HEIGHT / 2), (x2, y2 + BOX_HEIGHT / 2)
    bend = max((end[0] - start[0]) * 0.5, 20.0)
    curve = (
        f"M{start[0]:.1f} {start[1]:.1f} C{start[0] + bend:.1f} {start[1]:.1f} "
        f"{end[0] - bend:.1f} {end[1]:.1f} {end[0]:.1f} {end[1]:.1f}"
    )
    words = el("title", text=f"{edge.child} was made from {edge.parent} ({edge.role})")
    return el("path", words, d=curve, cls="descent")
