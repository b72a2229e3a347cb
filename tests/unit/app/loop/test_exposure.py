"""Whom a canary reached, and who lost it again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from triune.app.loop.exposure import exposure, flipped_back, own_failure
from triune.app.replay.model import Record


def record(
    sent: int, release: str, unit: str = "u", *, took: int = 10, status: int = 200, arm: str = ""
) -> Record:
    return Record(0, sent, took, status, unit, release=release, arm=arm)


def test_exposure_counts_a_release_only() -> None:
    found = exposure(
        [
            record(0, "new", "a"),
            record(2_000_000, "new", "b", status=500),
            record(9_000_000, "old", "c"),
            record(3_500_000, "new", "a"),
        ],
        "new",
    )
    assert (found.requests, found.units, found.failed, found.seconds) == (3, 2, 1, 3.5)
    assert exposure([], "new").seconds == 0.0


def test_only_what_a_candidate_answered_itself_is_its_own_failure() -> None:
    bad = record(0, "new", status=500, arm="candidate")
    assert own_failure(bad, "new")
    assert not own_failure(bad, "other")
    assert not own_failure(record(0, "new", status=500, arm="stable"), "new")
    assert not own_failure(record(0, "new", status=0, arm="candidate"), "new")
    assert not own_failure(record(0, "new", arm="candidate"), "new")


def test_a_unit_that_has_had_the_candidate_and_then_stable_has_lost_it() -> None:
    lost = [record(0, "old"), record(20, "new"), record(40, "old"), record(60, "new")]
    assert flipped_back(lost, "new", "old") == (1, 1)
    assert flipped_back(lost[:2], "new", "old") == (1, 0)
    assert flipped_back([record(40, "old", "other"), record(0, "new")], "new", "old") == (1, 0)


def test_requests_under_way_together_say_nothing() -> None:
    together = [record(0, "new", took=50), record(30, "old")]
    assert flipped_back(together, "new", "old") == (1, 0)
    assert flipped_back([*together, record(51, "old")], "new", "old") == (1, 1)


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 99)), max_size=60),
    st.integers(0, 9),
)
def test_sticky_assignment_never_flips(moments: list[tuple[int, int]], steps: int) -> None:
    """Units 0 to 9; at a moment those below a share that only rises have the candidate."""
    records = [
        record(at * 100, "new" if unit < at * steps // 99 else "old", str(unit))
        for unit, at in moments
    ]
    assert flipped_back(records, "new", "old")[1] == 0
