"""Complete ancestry is complete to the last edge: whichever is taken away, the gap is found."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from triune.ledger.envelope import Edge, Event, event
from triune.ledger.lineage import RULES, Graph, coverage

ORDER = (
    *("commit", "environment", "dataset", "stage", "features", "materialisation", "stream"),
    *("run", "model", "release"),
)
MAY_HAVE = {
    "dataset": ("stage",),
    "stage": ("dataset",),
    "run": ("features", "dataset"),
    "release": ("features",),
}
"""Parents that a kind may have besides those it must have."""


@dataclass
class World:
    """Artifacts in the order they were made, each with an event and its edges."""

    refs: dict[str, list[str]] = field(default_factory=dict)
    events: dict[str, Event] = field(default_factory=dict)

    def make(self, kind: str, parents: list[str]) -> None:
        ref = f"{kind}:{len(self.events)}"
        edges = tuple(Edge(ref, parent, parent.partition(":")[0]) for parent in parents)
        self.events[ref] = event(RULES[kind].recorded_by[-1], ref, workspace="w", edges=edges,
                                 payload={"status": "finished"})  # fmt: skip
        self.refs.setdefault(kind, []).append(ref)

    @property
    def edges(self) -> list[Edge]:
        return [edge for one in self.events.values() for edge in one.edges]


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Every kind at least once; each artifact with all it must have, and some it may have."""
    world = World()
    for kind in (*ORDER, *draw(st.lists(st.sampled_from(ORDER), max_size=15))):
        parents = [draw(st.sampled_from(world.refs[one])) for one in RULES[kind].parents]
        for one in MAY_HAVE.get(kind, ()):
            if one in world.refs and draw(st.booleans()):
                parents.append(draw(st.sampled_from(world.refs[one])))
        world.make(kind, list(dict.fromkeys(parents)))
    return world


@given(worlds())
def test_what_is_whole_is_covered_wholly(world: World) -> None:
    found = coverage(world.events, Graph(world.edges, world.events))
    assert found.share == 1.0
    assert found.incomplete == ()


@given(worlds(), st.data())
def test_whichever_edge_is_taken_away_the_gap_is_found(world: World, data: st.DataObject) -> None:
    gone = data.draw(st.sampled_from(world.edges))
    graph = Graph([edge for edge in world.edges if edge != gone], world.events)
    found = coverage(world.events, graph)
    assert gone.child in {one.ref for one in found.incomplete}
    assert any(gap.ref == gone.child for gap in graph.own_gaps(gone.child))


@given(worlds(), st.data())
def test_whichever_event_is_taken_away_the_gap_is_found(world: World, data: st.DataObject) -> None:
    ref = data.draw(st.sampled_from(sorted(world.events)))
    events = {one: told for one, told in world.events.items() if one != ref}
    graph = Graph(world.edges, events)
    assert graph.own_gaps(ref)
    below = [one for one in world.events if ref in graph.reachable(one) and one != ref]
    incomplete = {one.ref for one in coverage(world.events, graph).incomplete}
    assert {one for one in below if one in events and one.partition(":")[0] not in
            ("commit", "environment")} <= incomplete  # fmt: skip
