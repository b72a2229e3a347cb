"""Outcomes that come late: cohorts are judged once, alike for both arms, or given up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf, nan
from typing import Any

import msgspec
import pytest

from tests.support.predictions import (
    CANDIDATE,
    CONTROL,
    NOON_US,
    SECOND,
    MemoryOutcomes,
    observed,
    served,
)
from triune.delivery.rollout import quality
from triune.delivery.rollout.cohorts import DROPS, CohortRule, Drop
from triune.delivery.rollout.coverage import Cohort
from triune.delivery.rollout.labels import Label, QualityRule, Side, label_of
from triune.delivery.rollout.quality import QualityLook, QualityReader, QualityState, begin
from triune.ledger.envelope import Event

COHORTS = CohortRule(window_s=10.0, settle_s=5.0, patience_s=600.0, widest_s=60.0)
RULE = QualityRule("flights/delay", Side(CONTROL), Side(CANDIDATE), cohorts=COHORTS)


class Scene:
    """A ledger, a reader and the state between its looks."""

    def __init__(self, rule: QualityRule = RULE) -> None:
        self.log = MemoryOutcomes()
        self.rule = rule
        self.reader = QualityReader(self.log, rule)
        self.state = begin(self.log, NOON_US)
        self._numbers = 0

    def serve(self, release: str, times: Iterable[float], **payload: Any) -> list[Event]:
        """Predictions of a release at these seconds."""
        made = []
        for at in times:
            self._numbers += 1
            made.append(served(self._numbers, release, at, **payload))
        self.log.tell(*made)
        return made

    def both(self, count: int, start: float = 0.0) -> tuple[list[Event], list[Event]]:
        """So many predictions of each arm within 10 s."""
        times = [start + 10.0 * place / count for place in range(count)]
        return self.serve(CONTROL, times), self.serve(CANDIDATE, times)

    def label(self, predictions: Sequence[Event], **outcome: Any) -> None:
        """Outcomes of all of them."""
        self.log.tell(*(observed(one, **outcome) for one in predictions))

    def look(self, at: float) -> QualityLook:
        found = self.reader.look(self.state, NOON_US + round(at * SECOND))
        self.state = found.state
        return found

    def crash(self) -> None:
        """Another process goes on with what was written down."""
        self.state = msgspec.json.decode(msgspec.json.encode(self.state), type=QualityState)
        self.reader = QualityReader(self.log, self.rule)


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_cohort_is_judged_once_both_arms_are_labelled(scene: Scene) -> None:
    control, candidate = scene.both(10)
    scene.label(control[:9])
    scene.label(candidate[:6], value=0.0)
    assert scene.look(20.0).ready == ()
    scene.label(candidate[6:9])
    (cohort,) = scene.look(30.0).ready
    assert cohort.counts == (9, 9, 0, 6)
    assert (cohort.start_us, cohort.end_us) == (NOON_US, NOON_US + 10 * SECOND)
    assert (cohort.a.served, cohort.b.served) == (10, 10)
    assert cohort.a.squares == pytest.approx(9 * 0.09)
    assert cohort.b.squares == pytest.approx(6 * 0.49 + 3 * 0.09)
    assert scene.look(40.0).counts == []
    scene.label(control[9:])
    assert scene.look(50.0).ready == ()
    assert (scene.state.judged, scene.state.late) == (1, 1)
    assert (scene.state.a.labelled, scene.state.b.wrong) == (9, 6)


def test_nothing_is_judged_before_its_predictions_have_settled(scene: Scene) -> None:
    control, candidate = scene.both(10)
    scene.label(control + candidate)
    assert scene.look(14.9).ready == ()
    assert len(scene.look(15.0).ready) == 1


def test_a_late_cohort_does_not_block_those_after_it(scene: Scene) -> None:
    early = scene.both(10, 0.0)
    scene.label([one for arm in scene.both(10, 10.0) for one in arm])
    (cohort,) = scene.look(30.0).ready
    assert cohort.start_us == NOON_US + 10 * SECOND
    scene.label([one for arm in early for one in arm])
    (cohort,) = scene.look(40.0).ready
    assert cohort.start_us == NOON_US


def test_the_last_outcome_before_the_judgement_counts_once(scene: Scene) -> None:
    control, candidate = scene.both(10)
    scene.label(control + candidate, value=0.0)
    scene.look(5.0)
    scene.label(candidate, value=1.0, predicted=0.9, number=1)
    scene.label(candidate[:1], value=0.0, predicted=0.9, number=2)
    scene.label(candidate[:1], value=1.0, predicted=0.8, number=3)
    (cohort,) = scene.look(20.0).ready
    assert cohort.counts == (10, 10, 10, 0)
    assert cohort.b.squares == pytest.approx(9 * 0.01 + 0.04)
    scene.label(candidate, value=0.0, number=4)
    assert scene.look(30.0).ready == ()
    assert scene.state.b.wrong == 0


def test_outcomes_told_before_their_predictions_count(scene: Scene) -> None:
    made = [served(place, (CONTROL, CANDIDATE)[place % 2], 1.0) for place in range(20)]
    scene.label(made, value=0.0)
    scene.label(made[:2], value=1.0, number=1)
    scene.look(2.0)
    scene.log.tell(*made)
    scene.label(made[2:4], value=1.0, number=2)
    (cohort,) = scene.look(20.0).ready
    assert cohort.counts == (10, 10, 8, 8)


def test_a_crash_at_any_look_changes_nothing() -> None:
    steady, crashing = Scene(), Scene()
    for start in range(0, 200, 10):
        looks = []
        for scene in (steady, crashing):
            control, candidate = scene.both(8, float(start))
            scene.label(control[:7] + candidate[1:], value=float(start % 20 == 0))
            scene.label(candidate[:3], value=0.0, number=1)
            looks.append(scene.look(start + 9.0))
            if scene is crashing:
                scene.crash()
        assert looks[0].ready == looks[1].ready
        assert looks[0].state == looks[1].state
    assert steady.state.judged > 10


def test_a_look_that_was_never_written_down_is_done_again(scene: Scene) -> None:
    control, candidate = scene.both(10)
    scene.look(5.0)
    written = scene.state
    scene.label(control + candidate, value=0.0)
    first = scene.look(20.0)
    scene.state = written
    assert scene.look(20.0) == first
    assert first.ready[0].counts == (10, 10, 10, 10)


def test_predictions_that_memory_does_not_hold_are_asked_from_the_ledger(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quality, "MOST_REMEMBERED", 3)
    control, candidate = scene.both(10)
    scene.look(5.0)
    assert len(scene.reader._unlabelled) == 3
    scene.label(control + candidate, value=0.0)
    assert scene.look(20.0).counts == [(10, 10, 10, 10)]


def test_what_is_remembered_goes_with_its_cohort(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quality, "_PAGE", 10)
    scene.reader = QualityReader(scene.log, scene.rule)
    for start in range(0, 2000, 10):
        control, candidate = scene.both(10, float(start))
        scene.label(control[:9] + candidate[:9])
        scene.look(start + 16.0)
        assert len(scene.reader._unlabelled) < 100
    assert scene.state.judged == 200


def test_other_releases_arms_endpoints_and_times_do_not_count() -> None:
    rule = QualityRule("flights/delay", Side(CONTROL, "baseline"), Side(CANDIDATE), cohorts=COHORTS)
    scene = Scene(rule)
    stable = scene.serve(CONTROL, [1.0] * 10, arm="stable")
    other = scene.serve("release:flights-delay@000000000009", [1.0] * 5)
    before = scene.serve(CANDIDATE, [-1.0] * 5)
    baseline = scene.serve(CONTROL, [1.0] * 4, arm="baseline")
    candidate = scene.serve(CANDIDATE, [1.0] * 4, arm="candidate")
    scene.label(stable + other + before + baseline + candidate)
    scene.label(candidate, value=0.0, number=1, endpoint="other/endpoint")
    scene.label([served(99, CONTROL, 1.0, arm="baseline")], value=0.0)
    assert scene.look(20.0).counts == [(4, 4, 0, 0)]
    assert (scene.state.late, scene.state.unusable) == (0, 0)


def test_an_id_without_a_time_is_looked_up(scene: Scene) -> None:
    made = [
        msgspec.structs.replace(one, id="4" * 36, subject=f"prediction:{number}{'4' * 35}")
        for number, arm in enumerate(scene.both(4))
        for one in arm[:1]
    ]
    scene.log.log.clear()
    scene.log.tell(*made)
    scene.look(1.0)
    scene.label(made)
    assert scene.look(20.0).counts == [(1, 1, 0, 0)]


def test_coverage_below_the_least_is_given_up_when_the_patience_ends(scene: Scene) -> None:
    control, candidate = scene.both(10)
    scene.label(control + candidate[:7])
    assert scene.look(609.9).dropped == ()
    (gone,) = scene.look(610.0).dropped
    assert gone.why is Drop.LABELS
    assert scene.state.dropped == {Drop.LABELS: 1}
    scene.label(candidate[7:])
    assert scene.look(620.0).ready == ()


def test_coverages_that_differ_are_never_judged(scene: Scene) -> None:
    control, candidate = scene.both(1000)
    scene.label(control + candidate[:900])
    assert scene.look(20.0).ready == ()
    (gone,) = scene.look(700.0).dropped
    assert gone.why is Drop.COVERAGE


def test_a_lasting_difference_in_small_cohorts_is_noticed(scene: Scene) -> None:
    judged: list[Cohort] = []
    for start in range(0, 5000, 10):
        control, candidate = scene.both(10, float(start))
        scene.label(control + candidate[: 8 if start % 20 else 9], value=0.0)
        judged += scene.look(start + 16.0).ready
    assert 5 < len(judged) < 100
    assert judged[-1].start_us < NOON_US + 2000 * SECOND
    assert scene.state.dropped[Drop.COVERAGE] > 300


def test_one_arm_alone_is_joined_with_its_neighbours(scene: Scene) -> None:
    alone = scene.serve(CONTROL, [1.0, 12.0, 13.0])
    later = scene.serve(CANDIDATE, [44.0])
    scene.label(alone + later)
    (cohort,) = scene.look(56.0).ready
    assert cohort.counts == (3, 1, 0, 0)
    assert (cohort.start_us, cohort.end_us) == (NOON_US, NOON_US + 50 * SECOND)


def test_one_arm_alone_for_long_is_given_up(scene: Scene) -> None:
    scene.label(scene.serve(CONTROL, [1.0, 12.0]))
    assert scene.look(64.0).dropped == ()
    scene.serve(CANDIDATE, [61.0])
    (gone,) = scene.look(80.0).dropped
    assert (gone.why, gone.cohort.a.served) == (Drop.ONE_ARM, 2)
    assert len(scene.state.shelf.waiting) == 1


def test_cohorts_are_not_joined_over_one_that_was_judged(scene: Scene) -> None:
    lonely = scene.serve(CONTROL, [1.0])
    scene.label([one for arm in scene.both(5, 20.0) for one in arm])
    assert [c.counts for c in scene.look(36.0).ready] == [(6 - 1, 5, 0, 0)]
    late = scene.serve(CANDIDATE, [31.0])
    scene.label(lonely + late)
    assert scene.look(46.0).ready == ()


def test_those_that_wait_are_few_however_long_labels_take() -> None:
    rule = CohortRule(window_s=10.0, settle_s=5.0, patience_s=86_400.0, most_open=16)
    scene = Scene(QualityRule("flights/delay", Side(CONTROL), Side(CANDIDATE), cohorts=rule))
    made = []
    for start in range(0, 5000, 10):
        made += [one for arm in scene.both(2, float(start)) for one in arm]
        scene.look(start + 9.0)
        assert len(scene.state.shelf.waiting) <= 16
    scene.label(made, value=0.0)
    ready = scene.look(6000.0).ready
    assert sum(cohort.a.served for cohort in ready) == 1000
    assert sum(cohort.b.wrong for cohort in ready) == 1000
    assert len(msgspec.json.encode(scene.state)) < 2000


def test_predictions_made_while_the_weight_changes_do_not_count(scene: Scene) -> None:
    control, candidate = scene.both(10)
    scene.look(10.0)
    scene.state = scene.state.change_begun(NOON_US + 12 * SECOND)
    scene.label([one for arm in scene.both(10, 10.0) for one in arm])
    assert scene.look(20.0).state == scene.state
    scene.crash()
    scene.state = scene.state.change_done(NOON_US + 18 * SECOND)
    scene.label([one for arm in scene.both(20, 10.0) for one in arm])
    scene.label(control + candidate)
    found = scene.look(40.0)
    spans = [
        ((c.start_us - NOON_US) // SECOND, (c.end_us - NOON_US) // SECOND) for c in found.ready
    ]
    assert spans == [(0, 10), (10, 12), (18, 20)]
    assert found.counts == [(10, 10, 0, 0), (6, 6, 0, 0), (6, 6, 0, 0)]
    assert scene.state.late == 0


def test_a_long_backlog_is_read_in_parts_and_judged_at_its_end(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quality, "MOST_AT_ONCE", 15)
    control, candidate = scene.both(10)
    scene.label(control + candidate)
    counts = [scene.look(20.0).counts for _ in range(4)]
    assert counts == [[], [], [(10, 10, 0, 0)], []]


def test_a_clock_that_jumps_ahead_and_back_costs_only_that_cohort(scene: Scene) -> None:
    scene.serve(CONTROL, [86_400.0])
    scene.look(1.0)
    control, candidate = scene.both(5, 10.0)
    scene.label(control + candidate)
    assert scene.look(30.0).counts == [(5, 5, 0, 0)]


def test_a_ledger_that_is_away_changes_nothing(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    control, candidate = scene.both(5)
    scene.look(1.0)
    scene.label(control + candidate)

    def away(*_: object) -> Any:
        raise OSError

    monkeypatch.setattr(scene.log, "about", away)
    scene.label(control[:1], number=1)
    with pytest.raises(OSError):
        scene.look(20.0)
    monkeypatch.undo()
    assert scene.look(20.0).counts == [(5, 5, 0, 0)]


@pytest.mark.parametrize(
    ("value", "predicted", "tolerance", "label"),
    [
        (1.0, 0.75, None, Label(0, 0.0625)),
        (True, 0.5, None, Label(0, 0.25)),
        (0, 0.5, None, Label(1, 0.25)),
        (2.0, 1.0, None, Label(0, 0.0)),
        (False, 0, None, Label(0, 0.0)),
        (10.0, 12.0, 2.0, Label(0, 4.0)),
        (10.0, 12.5, 2.0, Label(1, 6.25)),
        (None, 0.5, None, None),
        (1.0, None, None, None),
        ("yes", 0.5, None, None),
        (1.0, [0.5], None, None),
        (nan, 0.5, None, None),
        (1.0, inf, 2.0, None),
        (10**400, 0.5, None, None),
        (1e300, 0.5, 1.0, None),
    ],
)
def test_what_an_outcome_says(
    value: Any, predicted: Any, tolerance: float | None, label: Label | None
) -> None:
    rule = QualityRule("e", Side("a"), Side("b"), tolerance=tolerance)
    assert label_of({"value": value, "predicted": predicted}, rule) == label


def test_outcomes_without_numbers_are_counted_and_leave_the_label(scene: Scene) -> None:
    control, candidate = scene.both(5)
    scene.label(control + candidate, value=0.0)
    scene.label(candidate, predicted=None, number=1)
    assert scene.look(20.0).counts == [(5, 5, 5, 5)]
    assert scene.state.unusable == 5


def test_every_reason_has_its_sentence() -> None:
    assert set(DROPS) == set(Drop)
