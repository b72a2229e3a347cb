"""The journal recovers from a cut at any byte, and telling twice stores once."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.events import made
from tests.support.sql import SqlStore
from triune.ledger.frames import frame
from triune.ledger.journal import Journal, decode, encode
from triune.ledger.ports import Query

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
payloads = st.dictionaries(st.text(max_size=6), values, max_size=3)


def drain(journal: Journal, store: SqlStore, most: int = 3) -> None:
    while batch := journal.head(most):
        store.append([decode(body) for body in batch.bodies])
        journal.advance(batch)


def test_a_segment_cut_at_every_byte_gives_every_whole_event(tmp_path: Path) -> None:
    events = [made(subject=f"run:{n}", parents={"commit:1": "commit"}) for n in range(4)]
    frames = [frame(encode(event)) for event in events]
    whole = b"".join(frames)
    ends = [sum(map(len, frames[: n + 1])) for n in range(len(frames))]
    for cut in range(len(whole) + 1):
        folder = tmp_path / str(cut)
        folder.mkdir()
        (folder / "old.segment").write_bytes(whole[:cut])
        journal, store = Journal(folder), SqlStore()
        assert journal.adopt() == 1
        drain(journal, store)
        expected = events[: sum(1 for end in ends if end <= cut)]
        assert [stored.event for stored in store.select(Query())] == expected
        assert journal.settled(0)
        assert list(folder.glob("*.segment")) == []
        journal.close()


@settings(max_examples=40, deadline=None)
@given(st.lists(payloads, max_size=12), st.integers(1, 4), st.integers(200, 900))
def test_any_payload_goes_through_segments_of_any_size(
    written: list[dict[str, object]], most: int, segment_bytes: int
) -> None:
    events = [made(payload=payload) for payload in written]
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder), segment_bytes=segment_bytes)
        store = SqlStore()
        for number, event in enumerate(events):
            journal.append(event)
            if number % 3 == 0:
                drain(journal, store, most)
        drain(journal, store, most)
        assert [stored.event for stored in store.select(Query())] == events
        assert journal.settled(len(events))
        journal.close()
        assert list(Path(folder).glob("*.segment")) == []


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 9), max_size=40), st.integers(1, 7))
def test_a_drain_that_dies_before_it_advances_stores_nothing_twice(
    order: list[int], most: int
) -> None:
    events = [made(subject=f"run:{n}", identifier=f"id-{n}") for n in range(10)]
    store = SqlStore()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        dying = Journal(folder)
        for number in order:
            dying.append(events[number])
        half_done = dying.head(most)
        if half_done is not None:
            store.append([decode(body) for body in half_done.bodies])
        dying.close()
        heir = Journal(folder)
        heir.adopt()
        drain(heir, store, most)
        heir.close()
    assert [s.event for s in store.select(Query())] == [events[n] for n in dict.fromkeys(order)]
