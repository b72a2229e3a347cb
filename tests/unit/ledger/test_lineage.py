"""Lineage and completeness, on a graph in memory."""

from __future__ import annotations

import pytest

from tests.support.events import made, served, whole_story
from tests.support.sql import SqlStore
from triune.ledger import ancestry
from triune.ledger.envelope import Edge, Event
from triune.ledger.kinds import KINDS
from triune.ledger.lineage import RULES, Graph, Lineage

PREDICTION = "prediction:0192aaaa-0000-7000-8000-000000000002"
RUN = "run:0192aaaa-0000-7000-8000-000000000001"


def store_of(events: list[Event]) -> SqlStore:
    store = SqlStore()
    store.append(events)
    return store


def without(kind: str) -> SqlStore:
    return store_of([event for event in whole_story() if event.kind != kind])


def without_edge(child: str, parent_kind: str) -> SqlStore:
    store = SqlStore()
    for event in whole_story():
        edges = tuple(
            edge
            for edge in event.edges
            if not (edge.child.startswith(child) and edge.parent.startswith(parent_kind))
        )
        store.append([made_again(event, edges)])
    return store


def made_again(event: Event, edges: tuple[Edge, ...]) -> Event:
    parents = {edge.parent: edge.role for edge in edges}
    return made(event.kind, event.subject, parents=parents, payload=event.payload)


def test_every_recording_kind_exists() -> None:
    assert {kind for rule in RULES.values() for kind in rule.recorded_by} <= set(KINDS)
    assert {kind for rule in RULES.values() for kind in rule.parents} <= set(RULES)


def test_the_whole_story_has_no_gap() -> None:
    found = ancestry.of(store_of(whole_story()), PREDICTION)
    assert found.complete
    assert len(list(found.nodes())) == 8


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        ("dataset.versioned", "dataset:flights@aaaaaaaaaaaa: no dataset.versioned event"),
        ("commit.recorded", "commit:c0ffee: no commit.recorded event"),
        ("environment.recorded", "environment:eeeeeeeeeeee: no environment.recorded event"),
    ],
)
def test_a_root_that_was_not_recorded_is_a_gap(kind: str, what: str) -> None:
    gaps = ancestry.missing(without(kind), PREDICTION)
    assert any(f"{gap.ref}: {gap.what}".startswith(what) for gap in gaps)


@pytest.mark.parametrize(
    ("child", "parent"),
    [
        ("features", "dataset"),
        ("features", "commit"),
        ("run", "dataset"),
        ("run", "commit"),
        ("run", "environment"),
        ("model", "run"),
        ("release", "model"),
        ("release", "commit"),
        ("prediction", "release"),
    ],
)
def test_a_required_edge_that_is_missing_is_a_gap(child: str, parent: str) -> None:
    gaps = ancestry.missing(without_edge(child, parent), PREDICTION)
    assert any(
        gap.ref.startswith(child) and gap.what == f"no {parent} is known that it was made from"
        for gap in gaps
    )


@pytest.mark.parametrize(("child", "parent"), [("run", "features"), ("release", "features")])
def test_features_are_optional(child: str, parent: str) -> None:
    assert ancestry.missing(without_edge(child, parent), PREDICTION) == ()


def test_an_optional_parent_with_a_gap_is_a_gap() -> None:
    store = store_of(whole_story())
    store.append([made("run.started", RUN, parents={"features:odd@cccccccccccc": "features"})])
    assert {gap.ref for gap in ancestry.missing(store, RUN)} == {"features:odd@cccccccccccc"}


def test_a_run_is_described_by_its_end_once_it_ended() -> None:
    run = _node(ancestry.of(without("run.finished"), PREDICTION), RUN)
    assert run.kind == "run.started"
    run = _node(ancestry.of(store_of(whole_story()), PREDICTION), RUN)
    assert run.kind == "run.finished"


def _node(found: Lineage, ref: str) -> Event:
    event = next(node.event for node in found.nodes() if node.ref == ref)
    assert event is not None
    return event


def test_a_node_met_again_is_not_unfolded_again() -> None:
    found = ancestry.of(store_of(whole_story()), "release:flights-delay@dddddddddddd")
    features = [n for n in _all(found) if n.ref.startswith("features:")]
    assert sorted(n.folded for n in features) == [False, True]


def _all(found: Lineage) -> list:  # type: ignore[type-arg]
    waiting, nodes = [found.root], []
    while waiting:
        node = waiting.pop()
        nodes.append(node)
        waiting.extend(node.parents)
    return nodes


def test_a_cycle_and_a_long_chain_end() -> None:
    loop = Graph([Edge("model:a@1", "run:b", "run"), Edge("run:b", "model:a@1", "model")], {})
    assert len(list(loop.lineage("model:a@1").nodes())) == 2
    chain = [Edge(f"dataset:{n}@x", f"dataset:{n + 1}@x", "dataset") for n in range(3_000)]
    found = Graph(chain, {}).lineage("dataset:0@x")
    assert len(list(found.nodes())) == 101
    assert len(found.gaps) == 3_001


def test_a_reference_of_no_kind_is_a_gap_not_a_crash() -> None:
    graph = Graph([], {})
    assert graph.gaps("nonsense")[0].what == "'nonsense' is not a kind of node"
    assert graph.gaps("odd:1")[0].what == "'odd' is not a kind of node"


def test_coverage_counts_artifacts_and_names_the_incomplete() -> None:
    store = store_of(whole_story())
    assert ancestry.coverage(store).share == 1.0
    assert ancestry.coverage(store).total == 5
    store.append([served(1, "release:ghost@000000000000")])
    store.append(
        [
            made("run.started", "run:running"),
            made("run.finished", "run:failed", payload={"status": "failed"}),
        ]
    )
    store.append([made("run.finished", "run:bare", payload={"status": "finished"})])
    found = ancestry.coverage(store)
    assert (found.total, found.complete) == (7, 5)
    assert [one.ref for one in found.incomplete] == ["release:ghost@000000000000", "run:bare"]
    assert {gap.what for gap in found.incomplete[1].gaps} == {
        f"no {kind} is known that it was made from" for kind in RULES["run"].parents
    }
    assert found.share == 5 / 7


def test_coverage_of_nothing_has_no_share() -> None:
    assert ancestry.coverage(SqlStore()).share is None
