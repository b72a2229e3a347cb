"""Whatever arrives in whichever order: the stream and the recomputation agree."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.abtest_facts import (
    NOW,
    SECOND,
    SEGMENTED,
    START,
    MemoryLog,
    reader,
    saw,
    stream,
    told,
)
from triune.delivery.abtest.backends.duckdb import apart, recomputed
from triune.delivery.abtest.facts import Period
from triune.ledger.envelope import Event

UNITS = st.sampled_from(["a", "b", "c", "d"])
SECONDS = st.integers(-20, 150)
VALUES = st.one_of(
    st.floats(-1e6, 1e6), st.integers(-5, 5), st.booleans(), st.sampled_from([None, "x", 1e300])
)
EXPOSURES = st.builds(
    lambda unit, variant, at, context: saw(unit, variant, at, **context),
    UNITS,
    st.sampled_from(["old", "old", "new", "blue"]),
    SECONDS,
    st.sampled_from([{}, {"country": "de"}, {"country": "xx", "new": True}, {"country": ["de"]}]),
)
OUTCOMES = st.builds(
    told,
    st.one_of(UNITS, st.just("")),
    st.sampled_from(["order", "rating", "other"]),
    VALUES,
    SECONDS,
    st.sampled_from(["", "k1", "k2", "k3"]),
)


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.lists(st.one_of(EXPOSURES, OUTCOMES), max_size=12), max_size=4),
    st.sampled_from([None, 40, 100]),
    st.integers(1, 4),
)
def test_stream_and_recomputation_agree(
    pages: list[list[Event]], until: int | None, size: int
) -> None:
    log, end = MemoryLog(), None if until is None else START + until * SECOND
    with TemporaryDirectory() as folder:
        for at, page in enumerate(pages):
            log.record(page)
            live = stream(log, Path(folder), declaration=SEGMENTED)  # its end is not known yet
            while live.step(START + 30 * (at + 1) * SECOND, log.last_sequence(), size) == size:
                pass
        found = stream(log, Path(folder), until=end, declaration=SEGMENTED)
        for now in (START + 125 * SECOND, NOW):
            found.catch_up(now)
            exact = recomputed(log, reader(SEGMENTED), Period(START, end), now)
            assert apart(found.look()[0], exact) < 1e-9
