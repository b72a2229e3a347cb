"""The pure parts of a report: slices of traffic, marks, layers, scales, Markdown."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triune.app.replay.model import Record
from triune.app.report import markdown, rollouts, traffic
from triune.app.report.charts import layers, scale, timeline
from triune.app.report.charts.lineage import split
from triune.app.report.model import MarkKind, ReleaseView
from triune.ledger.envelope import Event


def record(
    number: int, *, at: float, status: int = 200, release: str = "r:a", took: int = 1000
) -> Record:
    return Record(number, round(at * 1e6), took, status, "u", f"p{number}", release)


def test_every_request_is_in_exactly_one_slice() -> None:
    records = [
        record(i, at=100 + i * 0.03, release="r:a" if i < 150 else "r:b") for i in range(300)
    ]
    records += [record(300, at=104, status=503), record(301, at=105, status=0, release="")]
    cut = traffic.cut(records)
    assert cut is not None
    assert (cut.sent, cut.good, cut.failed, cut.lost) == (302, 300, 1, 1)
    assert sum(s.good + s.failed + s.lost for s in cut.slices) == 302
    assert cut.by_release == {"r:a": 150, "r:b": 150}
    assert cut.origin == 100.0
    assert sum(s.width for s in cut.slices) == pytest.approx(cut.seconds, abs=cut.width / 10)


def test_latencies_are_of_good_answers_and_need_a_few() -> None:
    slow = [record(i, at=1 + i / 1000, took=(i + 1) * 1000) for i in range(100)]
    cut = traffic.cut([*slow, record(100, at=1, status=500, took=10**9), record(101, at=9.0)])
    assert cut is not None
    cell = cut.slices[0].cells["r:a"]
    assert (cell.p50, cell.p99) == (51.0, 100.0)
    assert cut.slices[-1].cells["r:a"] == traffic.Cell(1, None, None)


def test_no_requests_no_traffic() -> None:
    assert traffic.cut([]) is None


@given(st.lists(st.floats(0, 4000), min_size=1, max_size=50))
def test_there_are_never_too_many_slices(moments: list[float]) -> None:
    cut = traffic.cut([record(i, at=at) for i, at in enumerate(moments)])
    assert cut is not None
    assert len(cut.slices) <= traffic.MOST_SLICES + 1
    assert sum(s.good for s in cut.slices) == len(moments)


def view(letter: str) -> ReleaseView:
    ref = f"release:shop@{letter}"
    return ReleaseView(letter, "ABCD".index(letter), ref, f"model:m@{letter}", "", "", "", 0)


def told(kind: str, letter: str, at: int, **payload: object) -> Event:
    return Event(
        id=f"{at}-{kind}",
        time=at * 1_000_000,
        kind=f"rollout.{kind}",
        subject=f"release:shop@{letter}",
        actor="service:guard",
        workspace="shop",
        payload={"endpoint": "shop/late", "rollout": f"roll-{letter}", **payload},
    )


STORY = [
    told("smoked", "A", 1, results=[{"name": "contract", "passed": True, "words": ""}]),
    told("switched", "A", 2, previous=None),
    told("switched", "B", 10, previous="release:shop@A"),
    told("smoked", "C", 15, results=[{"name": "own", "passed": False, "words": "AUC 0.2"}]),
    told("refused", "C", 16, test="own", words="AUC 0.2"),
    told("switched", "D", 20, previous="release:shop@B"),
    told("rolled-back", "D", 26, to="release:shop@B", reason="2 failed checks", seconds=0.5),
]
VIEWS: Mapping[str, ReleaseView] = {view(x).ref: view(x) for x in "ABCD"}


def test_rollouts_become_marks_tests_and_ways_back() -> None:
    smoke, marks, back = rollouts.tell(STORY, VIEWS)
    assert [(mark.at, mark.label) for mark in marks] == [
        (2.0, "A serves"),
        (10.0, "B takes over"),
        (16.0, "C refused"),
        (20.0, "D takes over"),
        (26.0, "back on B"),
    ]
    assert marks[-1].kind is MarkKind.ROLLBACK
    assert [(s.release.letter, s.refused) for s in smoke] == [("A", ""), ("C", "own: AUC 0.2")]
    assert smoke[1].tests[0].words == "AUC 0.2"
    (one,) = back
    assert (one.left, one.to, one.seconds) == ("D", "B", 0.5)


def test_shadows_and_canary_steps_are_marks_and_the_end_of_a_shadow_is_none() -> None:
    events = [
        told("shadowed", "B", 3, mirror=10_000),
        told("rolled-back", "B", 5, to="release:shop@A", outcome="compared"),
        told("stepped", "B", 7, weight=1000),
        told("stepped", "B", 8, weight=50),
        told("rolled-back", "B", 9, to="release:shop@A", reason="errors", verdict="fail", since=8),
    ]
    _, marks, back = rollouts.tell(events, VIEWS)
    assert [mark.label for mark in marks] == ["B in shadow", "B 10 %", "B 0.5 %", "back on A"]
    assert [one.judged for one in back] == [True]
    assert rollouts.fates(events[:1]) == {"release:shop@B": "in shadow"}
    assert rollouts.fates(events[:2])["release:shop@B"] == "compared"
    assert rollouts.fates(events[:3])["release:shop@B"] == "canary"
    assert rollouts.fates(events) == {
        "release:shop@A": "serves",
        "release:shop@B": "rolled back",
    }


def test_a_canary_taken_back_excuses_its_own_errors_and_no_others() -> None:
    judged = told("rolled-back", "D", 26, to="release:shop@B", verdict="fail", seconds=5.0)
    _, _, back = rollouts.tell([judged], VIEWS)
    own = Record(0, 25_000_000, 1, 500, "u", release="release:shop@D", arm="candidate")
    other = Record(1, 25_000_000, 1, 500, "u", release="release:shop@B", arm="stable")
    assert [rollouts.candidates_own(bad) for bad in (own, other)] == [True, False]
    assert rollouts.while_failing([own, other], back) == 0


def test_fates_are_what_happened_last() -> None:
    assert rollouts.fates(STORY) == {
        "release:shop@A": "served",
        "release:shop@B": "serves",
        "release:shop@C": "refused",
        "release:shop@D": "rolled back",
    }


def test_what_happened_after_the_traffic_is_not_drawn_into_it() -> None:
    cut = traffic.cut([record(i, at=5 + i * 0.1) for i in range(60)])
    assert cut is not None
    _, marks, _ = rollouts.tell(STORY, VIEWS)
    assert [mark.label for mark in timeline.within(marks, cut)] == ["A serves", "B takes over"]
    drawn = timeline.draw(cut, marks, VIEWS)
    assert "B takes over" in drawn
    assert "C refused" not in drawn


def test_only_what_went_wrong_around_the_failure_counts_as_failing() -> None:
    _, _, back = rollouts.tell(STORY, VIEWS)
    bad = [record(i, at=at, status=503) for i, at in enumerate((10.0, 24.4, 25.6, 26.9, 27.1))]
    assert rollouts.while_failing([*bad, record(9, at=25.7)], back) == 2


edges = st.lists(
    st.tuples(st.integers(0, 8), st.integers(0, 8)).filter(lambda e: e[0] < e[1]), min_size=1
)


@given(edges)
def test_every_edge_goes_to_the_right_through_every_layer(pairs: list[tuple[int, int]]) -> None:
    named = [("n0", f"n{pairs[0][1]}"), *((f"n{a}", f"n{b}") for a, b in pairs)]
    made = layers.arrange("n0", named)
    layer_of = {place: i for i, column in enumerate(made.columns) for place in column}
    assert len(layer_of) == sum(len(column) for column in made.columns)
    for way in made.ways.values():
        assert [layer_of[place] for place in way] == list(
            range(layer_of[way[0]], layer_of[way[-1]] + 1)
        )


def test_a_circle_is_an_error() -> None:
    with pytest.raises(ValueError, match="circle"):
        layers.arrange("a", [("a", "b"), ("b", "c"), ("c", "b")])


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 10, [0, 2, 4, 6, 8, 10]), (0.5, 0.75, [0.5, 0.55, 0.6, 0.65, 0.7, 0.75]), (3, 3, [3])],
)
def test_ticks_are_round(low: float, high: float, expected: list[float]) -> None:
    assert scale.ticks(low, high, 5) == expected


@given(st.floats(0.01, 1e6), st.floats(1.01, 1e4))
def test_log_ticks_lie_inside_and_rise(low: float, factor: float) -> None:
    found = scale.log_ticks(low, low * factor)
    assert all(low <= tick <= low * factor for tick in found)
    assert all(a < b for a, b in itertools.pairwise(found))


def test_moments_read_like_a_clock() -> None:
    assert [scale.clock(s) for s in (0, 59.4, 60, 125)] == ["0 s", "59 s", "1:00", "2:05"]
    assert scale.time_ticks(26) == [0, 5, 10, 15, 20, 25]


@pytest.mark.parametrize(
    ("ref", "lines"),
    [
        ("model:delay@2", ("delay", "@2")),
        ("commit:885e28b490f9d2f0+dirty.abc", ("885e28b490f9", "with changes")),
        ("run:01a20466-0255-76c5-a5da-d1d69c71748c", ("01a20466-0255", "-76c5-a5da-d1d69c…")),
    ],
)
def test_long_references_become_two_short_lines(ref: str, lines: tuple[str, str]) -> None:
    assert split(ref) == lines


def test_markdown_of_cards_and_nothing_else_becomes_html() -> None:
    html = markdown.to_html(
        "# Card\n\nMade by `run` and **me** <script>\n\n| a | b |\n|---|---|\n| 1 \\| 2 | <b> |\n\n"
        "- one\n- two\n\n```\n<x>\n```"
    )
    assert "<h3>Card</h3>" in html
    assert "<code>run</code> and <strong>me</strong> &lt;script&gt;" in html
    assert "<td>1 | 2</td><td>&lt;b&gt;</td>" in html
    assert "<ul><li>one</li><li>two</li></ul>" in html
    assert "<pre><code>&lt;x&gt;</code></pre>" in html
    assert "<script>" not in html
