"""What every ledger store does: the fake in memory, SQLite and PostgreSQL alike."""

from __future__ import annotations

import threading

import pytest

from tests.support.events import START, made, served, whole_story
from triune.core.errors import Conflict
from triune.ledger.envelope import Edge, Event
from triune.ledger.ports import Position, Query, Store


def sequences(store: Store, query: Query) -> list[int]:
    return [stored.sequence for stored in store.select(query)]


def subjects(store: Store, query: Query) -> list[str]:
    return [stored.event.subject for stored in store.select(query)]


def test_an_event_comes_back_as_it_went_in(store: Store) -> None:
    event = Event(
        id="0192aaaa-0000-7000-8000-000000000009",
        time=START + 123_456,
        kind="run.finished",
        subject="run:ü\U0001f600",
        actor="service:tracker",
        workspace="wörk",
        version=3,
        payload={
            "text": 'a"b\\c\n\x00\u2028',
            "n": 2**63 - 1,
            "f": 0.1,
            "deep": [{"x": [None, True]}],
        },
        causes=("a", "b"),
        edges=(Edge("run:ü\U0001f600", "commit:1", "commit"), Edge("a:1", "b:2", "")),
    )
    assert store.append([event]) == 1
    assert store.get(event.id) == event
    assert [stored.event for stored in store.select(Query())] == [event]


def test_an_unknown_id_is_none(store: Store) -> None:
    assert store.get("0192aaaa-0000-7000-8000-00000000ffff") is None


def test_the_same_id_is_stored_once_and_the_first_stays(store: Store) -> None:
    first = made(payload={"v": 1}, identifier="x")
    again = made(payload={"v": 2}, identifier="x")
    other = made(payload={"v": 3}, identifier="y")
    assert store.append([first, first]) == 1
    assert store.append([again, other]) == 1
    assert store.get("x") == first
    assert store.count(Query()) == 2


def test_all_new_means_all_or_none(store: Store) -> None:
    first, second = made(identifier="x"), made(identifier="y")
    assert store.append([first], all_new=True) == 1
    with pytest.raises(Conflict) as caught:
        store.append([second, made(payload={"v": 2}, identifier="x")], all_new=True)
    assert caught.value.reference == "event-taken"
    assert store.get("y") is None
    assert store.get("x") == first
    assert store.append([second], all_new=True) == 1


def test_appending_nothing_is_fine(store: Store) -> None:
    assert store.append([]) == 0
    assert store.last_sequence() == 0


def test_a_position_moves_with_its_events_and_alone(store: Store) -> None:
    assert store.position("ingest") is None
    store.append([made()], position=Position("ingest", "17"))
    store.append([], position=Position("ingest", "23"))
    store.append([made()], position=Position("other", "1"))
    assert (store.position("ingest"), store.position("other")) == ("23", "1")


def test_order_never_changes_and_after_goes_on_behind(store: Store) -> None:
    store.append([made(subject=f"run:{n}", second=-n) for n in range(5)])
    all_of_them = sequences(store, Query())
    assert all_of_them == sorted(all_of_them)
    assert subjects(store, Query()) == [f"run:{n}" for n in range(5)]
    assert sequences(store, Query(after=all_of_them[1])) == all_of_them[2:]
    assert sequences(store, Query(newest_first=True)) == all_of_them[::-1]
    assert store.last_sequence() == all_of_them[-1]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (Query(kind="run.started"), [0, 3]),
        (Query(kind="run.*"), [0, 1, 3]),
        (Query(kind="*"), [0, 1, 2, 3, 4]),
        (Query(kind="nothing.*"), []),
        (Query(subject="run:1"), [0, 1]),
        (Query(subject="run:1", kind="run.finished"), [1]),
        (Query(actor="service:s"), [2]),
        (Query(since=START + 2_000_000), [2, 3, 4]),
        (Query(until=START + 2_000_000), [0, 1]),
        (Query(since=START + 1_000_000, until=START + 3_000_000, kind="run.*"), [1]),
        (Query(since=START + 9_000_000), []),
        (Query(limit=2), [0, 1]),
        (Query(limit=2, newest_first=True), [4, 3]),
        (Query(kind="run.*", newest_first=True, limit=1), [3]),
        (Query(limit=0), []),
    ],
)
def test_every_field_of_a_query_narrows(store: Store, query: Query, expected: list[int]) -> None:
    events = [
        made("run.started", "run:1", second=0),
        made("run.finished", "run:1", second=1),
        made("rollout.switched", "release:a@1", second=2, actor="service:s"),
        made("run.started", "run:2", second=3),
        made("runaway.model", "run:3", second=4),
    ]
    store.append(events)
    found = [stored.event.id for stored in store.select(query)]
    assert found == [events[n].id for n in expected]
    assert store.count(query) == len(expected)


def test_many_events_come_in_one_piece(store: Store) -> None:
    store.append([made(subject=f"run:{n}") for n in range(2_501)])
    assert subjects(store, Query()) == [f"run:{n}" for n in range(2_501)]
    newest = subjects(store, Query(newest_first=True, limit=1_500))
    assert newest == [f"run:{n}" for n in range(2_500, 1_000, -1)]


def test_a_selection_does_not_hinder_appends(store: Store) -> None:
    store.append([made(subject=f"run:{n}") for n in range(1_500)])
    selection = store.select(Query())
    next(selection)
    assert store.append([made(subject="run:new")]) == 1
    assert len(list(selection)) >= 1_499


def test_ancestors_and_descendants_follow_edges_each_once(store: Store) -> None:
    store.append(whole_story())
    release = "release:flights-delay@dddddddddddd"
    run, model = "run:0192aaaa-0000-7000-8000-000000000001", "model:delay@1"
    up = store.ancestors(model)
    assert len(up) == len(set(up)) == 7
    assert {edge.child for edge in up} == {model, run, "features:weather@bbbbbbbbbbbb"}
    assert store.ancestors("dataset:flights@aaaaaaaaaaaa") == []
    down = store.descendants("environment:eeeeeeeeeeee")
    assert [edge.child for edge in down][:3] == [run, model, release]
    assert store.descendants("nothing:1") == []
    assert len(store.ancestors(release, limit=3)) == 3
    assert {edge.parent for edge in store.parents([model, run])} >= {run, "commit:c0ffee"}
    assert store.parents([]) == []


def test_a_diamond_and_a_cycle_end(store: Store) -> None:
    edges = [("a:1", "b:1"), ("a:1", "c:1"), ("b:1", "d:1"), ("c:1", "d:1"), ("d:1", "a:1")]
    store.append([made(subject=child, parents={parent: "x"}) for child, parent in edges])
    for walk in (store.ancestors, store.descendants):
        found = walk("a:1")
        assert len(found) == len(set(found)) == 5


def test_an_edge_told_twice_is_one_and_roles_are_kept_apart(store: Store) -> None:
    store.append(
        [made(parents={"dataset:d@1": "dataset"}), made(parents={"dataset:d@1": "dataset"})]
    )
    store.append([made(parents={"dataset:d@1": "test-set"})])
    assert sorted(edge.role for edge in store.parents(["run:1"])) == ["dataset", "test-set"]


def test_references_are_found_as_subject_child_and_parent(store: Store) -> None:
    store.append(whole_story())
    store.append([made("run.started", "run:only-subject"), served(1, "release:only-parent@1")])
    assert sorted(store.references("run")) == [
        "run:0192aaaa-0000-7000-8000-000000000001",
        "run:only-subject",
    ]
    assert "release:only-parent@1" in set(store.references("release"))
    assert len(list(store.references("prediction"))) == 2
    assert list(store.references("ru")) == []


def test_about_finds_kinds_of_subjects_in_order(store: Store) -> None:
    store.append(whole_story())
    run = "run:0192aaaa-0000-7000-8000-000000000001"
    found = store.about([run, "model:delay@1"], ["run.finished", "model.registered"])
    assert [stored.event.kind for stored in found] == ["run.finished", "model.registered"]
    assert store.about([], ["run.finished"]) == []


def test_many_threads_append_and_a_follower_misses_nothing(store: Store) -> None:
    stop = threading.Event()
    seen: list[int] = []

    def follow() -> None:
        after = 0
        while True:
            ended = stop.is_set()
            for stored in store.select(Query(after=after)):
                after = stored.sequence
                seen.append(after)
            if ended:
                return

    def write(name: int) -> None:
        for n in range(20):
            store.append([made(subject=f"run:{name}-{n}-{i}") for i in range(5)])

    writers = [threading.Thread(target=write, args=(name,)) for name in range(4)]
    follower = threading.Thread(target=follow)
    for thread in (follower, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    follower.join()
    assert seen == sequences(store, Query())
    assert len(seen) == 400
