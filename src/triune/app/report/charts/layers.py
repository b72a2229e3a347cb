"""A graph in layers: every edge goes to the right, and bends around what is in between. Pure.

The method is Sugiyama's: layers by the longest way, a thin stand-in for an edge in each layer
that it passes, and a few sweeps that put everything near the middle of its neighbours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

SWEEPS = 6


@dataclass(frozen=True, slots=True)
class Passing:
    """Where the edge from ``child`` to ``parent`` passes through a layer."""

    child: str
    parent: str
    layer: int


Place = str | Passing


@dataclass
class Layers:
    """Places by layer, top to bottom, and each edge as the places it goes through."""

    columns: list[list[Place]] = field(default_factory=list)
    ways: dict[tuple[str, str], list[Place]] = field(default_factory=dict)


def arrange(root: str, edges: Iterable[tuple[str, str]]) -> Layers:
    """Arrange the ancestors of ``root``; edges are (child, parent).

    Raises
    ------
    ValueError: the edges go in a circle.
    """
    every = list(dict.fromkeys(edges))
    depth = depths(root, every)
    made = Layers([[] for _ in range(max(depth.values()) + 1)])
    for ref, layer in depth.items():
        made.columns[layer].append(ref)
    for child, parent in every:
        if child not in depth or parent not in depth:
            continue
        between = [Passing(child, parent, i) for i in range(depth[child] + 1, depth[parent])]
        for place in between:
            made.columns[place.layer].append(place)
        made.ways[child, parent] = [child, *between, parent]
    _untangle(made)
    return made


def depths(root: str, edges: Sequence[tuple[str, str]]) -> dict[str, int]:
    """The longest way from the root to each of its ancestors."""
    parents: dict[str, list[str]] = {}
    for child, parent in edges:
        parents.setdefault(child, []).append(parent)
    depth, waiting = {root: 0}, [root]
    while waiting:
        ref = waiting.pop()
        if depth[ref] > len(parents):
            raise ValueError(f"the lineage of {root} goes in a circle")
        for parent in parents.get(ref, ()):
            if depth[ref] + 1 > depth.get(parent, -1):
                depth[parent] = depth[ref] + 1
                waiting.append(parent)
    return depth


def _untangle(layers: Layers) -> None:
    left: dict[Place, list[Place]] = {}
    right: dict[Place, list[Place]] = {}
    for way in layers.ways.values():
        for before, after in pairwise(way):
            left.setdefault(after, []).append(before)
            right.setdefault(before, []).append(after)
    for sweep in range(SWEEPS):
        forward = sweep % 2 == 0
        columns = layers.columns[1:] if forward else layers.columns[-2::-1]
        for column in columns:
            _sort(column, left if forward else right, layers.columns)


def _sort(
    column: list[Place], neighbours: Mapping[Place, Sequence[Place]], columns: list[list[Place]]
) -> None:
    rows = {place: (row + 0.5) / len(one) for one in columns for row, place in enumerate(one)}

    def middle(place: Place) -> float:
        near = [rows[other] for other in neighbours.get(place, ())]
        return sum(near) / len(near) if near else rows[place]

    column.sort(key=middle)
