"""Canaries and shadows from their events: what is drawn, whatever is missing."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triune.app.report import trials
from triune.app.report.charts import canary as drawing
from triune.app.report.charts import shadow
from triune.app.report.model import CanaryView, LookPoint, ReleaseView
from triune.delivery.rollout.shadow_gate import Limits
from triune.ledger.envelope import Event

LIMITS = Limits(pairs=1000, disagreement=0.05, failures=0.01)
RELEASES = {
    f"release:shop@{x}": ReleaseView(x, "ABC".index(x), f"release:shop@{x}", "", "", "", "", 0)
    for x in "ABC"
}


def told(kind: str, at: float, **payload: object) -> Event:
    return Event(
        id=f"{kind}-{at}",
        time=round(at * 1e6),
        kind=f"rollout.{kind}",
        subject="release:shop@B",
        actor="service:controller",
        workspace="shop",
        payload={"endpoint": "shop/late", "rollout": "r", **payload},
    )


def look(at: float, e: float = 1.0, gap: str = "", **read: int) -> Event:
    reading = {"gap": gap} if gap else {"seconds": 1.0, "control": 90, "candidate": 10, **read}
    return told(
        "looked", at, e=e, needed=100.0, verdict="not yet", action="hold", reason="so far",
        reading=reading, metrics={},
    )  # fmt: skip


BEGUN = [
    told("started", 9, previous="release:shop@A", strategy="canary"),
    told("stepped", 10, weight=1000),
]


def one(events: list[Event]) -> CanaryView:
    (found,) = trials.canaries(events, RELEASES, {})
    root = ElementTree.fromstring(drawing.draw(found))
    assert "nan" not in ElementTree.tostring(root, encoding="unicode")
    return found


def test_a_canary_under_way_has_no_end() -> None:
    found = one([*BEGUN, look(11), look(12, e=3.0)])
    assert (found.outcome, found.ended, len(found.looks)) == ("", None, 2)
    assert found.sentences[0] == "release:shop@B is at 10 % of the units of shop/late."
    assert "decided" not in drawing.draw(found)


def test_a_canary_that_has_not_looked_is_drawn_too() -> None:
    found = one(BEGUN)
    assert (found.looks, found.needed) == ((), 100.0)


def test_a_gap_is_drawn_as_one_and_counts_for_nothing() -> None:
    found = one([*BEGUN, look(11), look(12, gap="the gateway was started anew"), look(13)])
    assert [seen.candidate for seen in found.looks] == [10, 0, 10]
    assert "the gateway was started anew" in drawing.draw(found)
    assert "1 of the looks had no readings and decided nothing." in found.sentences


def test_a_way_back_after_the_promotion_does_not_end_the_canary() -> None:
    later = told("rolled-back", 40, to="release:shop@A", reason="2 failed checks", seconds=0.5)
    found = one([*BEGUN, look(11), told("switched", 12, previous="release:shop@A"), later])
    assert (found.outcome, found.ended) == ("promoted", 12.0)


def test_the_end_of_a_shadow_phase_is_not_the_end_of_its_canary() -> None:
    compared = told("rolled-back", 8, to="release:shop@A", outcome="compared")
    assert one([compared, *BEGUN, look(11)]).ended is None


def test_a_rollout_of_an_unknown_release_is_left_out() -> None:
    assert trials.canaries(BEGUN, {}, {}) == ()


@pytest.mark.parametrize("e", [0.0, 1e-9, 1.0, 99.0, 2000.0, 1e15, 1e300])
def test_every_e_value_has_a_place(e: float) -> None:
    found = one([*BEGUN, look(11), look(12, e=e)])
    heights = [
        float(circle.attrib["cy"])
        for circle in ElementTree.fromstring(drawing.draw(found)).iter()
        if circle.tag.endswith("circle")
    ]
    assert heights
    assert all(0.0 < y < 600.0 for y in heights)


points = st.builds(
    LookPoint,
    at=st.floats(0, 1e6),
    seconds=st.floats(0.1, 10),
    control=st.integers(0, 1000),
    candidate=st.integers(0, 1000),
    control_errors=st.integers(0, 10),
    candidate_errors=st.integers(0, 10),
    e=st.floats(0, 1e12),
)


@given(st.lists(points, max_size=400), st.integers(1, 50))
def test_merging_keeps_every_answer_and_the_last_evidence(seen: list[LookPoint], most: int) -> None:
    merged = drawing.merged(seen, most)
    assert len(merged) <= most
    for name in ("control", "candidate", "control_errors", "candidate_errors"):
        assert sum(getattr(k, name) for k in merged) == sum(getattr(k, name) for k in seen)
    if seen:
        assert merged[-1].e == seen[-1].e


def compared(at: float, pairs: int, differ: int = 0, failures: int = 0) -> Event:
    return told(
        "compared", at, pairs=pairs, disagreements=differ, failures=failures, verdict="not yet",
        reason="so far", distance=None,
    )  # fmt: skip


def test_a_shadow_narrows_its_intervals_and_agrees_with_the_gate() -> None:
    events = [BEGUN[0], compared(10, 0), compared(11, 200, 1), compared(12, 1000, 4, 2)]
    (found,) = trials.shadows(events, RELEASES, LIMITS)
    assert [point.pairs for point in found.points] == [200, 1000]
    first, last = (point.disagreement for point in found.points)
    assert last.high - last.low < first.high - first.low
    assert found.points[-1].failures.rate == pytest.approx(2 / 1002)
    assert found.stable is not None
    drawn = shadow.draw(found)
    ElementTree.fromstring(drawn)
    assert "5 % allowed" in drawn
    assert "1 % allowed" in drawn


def test_a_shadow_without_pairs_has_no_drawing() -> None:
    (found,) = trials.shadows([compared(10, 0)], RELEASES, LIMITS)
    assert (found.points, shadow.draw(found)) == ((), "")
