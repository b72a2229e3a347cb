"""No cohort lies on both sides of a change of the candidate's weight, and why that matters."""

from __future__ import annotations

from math import log, sqrt

import msgspec
import numpy as np
import pytest

from triune.delivery.rollout.changes import Change, clipped
from triune.delivery.rollout.cohorts import CohortRule, Drop, Shelf, Sorted, Windows, sort
from triune.delivery.rollout.coverage import Cohort, Count
from triune.stats import harm

SECOND = 1_000_000
RULE = CohortRule(window_s=10.0, settle_s=5.0, patience_s=86_400.0, most_open=4)
ALPHA = 0.05


def us(seconds: float) -> int:
    return round(seconds * SECOND)


def both(start: float, end: float, labelled: int = 0) -> Cohort:
    """A cohort of both arms; times in seconds."""
    count = Count(10, labelled)
    return Cohort(us(start), us(end), count + Count(), count + Count())


def spans(found: Sorted) -> list[tuple[float, float]]:
    return [(c.start_us / SECOND, c.end_us / SECOND) for c in found.shelf.waiting]


def test_the_cohort_of_the_moment_ends_and_another_begins() -> None:
    shelf = Shelf((both(0, 10), both(10, 20))).change_begun(us(13))
    assert [(c.start_us, c.end_us) for c in shelf.waiting][1] == (us(10), us(13))
    shelf = shelf.change_done(us(15))
    windows = Windows(shelf, 10.0)
    assert windows.find(us(12)) is windows.begin(us(12))
    found = windows.begin(us(16))
    assert found is not None
    assert (found.start_us, found.end_us) == (us(15), us(20))
    assert [windows.changing(us(at)) for at in (12.9, 13, 14.9, 15)] == [False, True, True, False]


def test_a_window_nobody_was_in_yet_is_cut_on_both_sides() -> None:
    changes = [Change(us(12), us(13)), Change(us(17), us(18))]
    assert clipped(changes, us(15), us(10), us(20)) == (us(13), us(17))
    assert clipped(changes, us(11), us(10), us(20)) == (us(10), us(12))
    assert clipped(changes, us(19), us(10), us(20)) == (us(18), us(20))
    assert clipped([Change(us(12))], us(11), us(10), us(20)) == (us(10), us(12))


def test_a_change_that_goes_on_is_not_begun_again_and_ends_once() -> None:
    shelf = Shelf().change_begun(us(10)).change_begun(us(20))
    assert shelf.changing
    assert not Shelf().changing
    done = shelf.change_done(us(30))
    assert done.changes == (Change(us(10), us(30)),)
    assert done.change_done(us(40)) == done
    assert shelf.change_done(us(5)).changes == (Change(us(10), us(10)),)


def test_one_arm_alone_is_not_joined_over_a_change() -> None:
    alone = Cohort(us(0), us(10), Count(3, 3))
    other = Cohort(us(10), us(20), Count(), Count(2, 2))
    shelf = Shelf((alone, other))
    assert sort(shelf, us(40), RULE).ready[0].counts == (3, 2, 0, 0)
    changed = shelf.change_begun(us(10)).change_done(us(10))
    assert sort(changed, us(40), RULE).ready == ()
    gone = sort(changed, us(400), RULE).dropped
    assert [one.why for one in gone] == [Drop.ONE_ARM, Drop.ONE_ARM]


def test_too_many_that_wait_are_joined_up_to_a_change_and_then_given_up() -> None:
    cohorts = tuple(both(10.0 * i, 10.0 * i + 10) for i in range(6))
    assert spans(sort(Shelf(cohorts), us(100), RULE)) == [(0, 20), (20, 40), (40, 50), (50, 60)]
    shelf = Shelf(cohorts)
    for at in (10, 20, 30, 40, 50):
        shelf = shelf.change_begun(us(at)).change_done(us(at))
    found = sort(shelf, us(100), RULE)
    assert spans(found) == [(20, 30), (30, 40), (40, 50), (50, 60)]
    assert [(one.cohort.start_us, one.why) for one in found.dropped] == [
        (us(0), Drop.CROWDED),
        (us(10), Drop.CROWDED),
    ]


STEPS = (0.01, 0.05, 0.25, 0.5)
STEP_S = 1510
LABELS_S = 5400
RISE_S = 2 * STEP_S
REQUESTS = 2000


def evidence(seed: int, *, told: bool) -> float:
    """The largest log e-value of a harmless canary whose labels come 90 minutes late.

    Two in five predictions are wrong at both arms from the third step on, before it one in twenty.
    ``told``: the shelf is told of the steps.
    """
    random = np.random.default_rng(seed)
    rule, test = CohortRule(window_s=10.0), harm.HarmTest()
    shelf, state, most = Shelf(), harm.HarmState(), 0.0
    made: dict[int, tuple[int, int, int, int]] = {}
    end = STEP_S * len(STEPS)
    for now in range(0, end + LABELS_S + 60, 10):
        if told and now in range(STEP_S, end, STEP_S):
            shelf = shelf.change_begun(us(now)).change_done(us(now))
        windows = Windows(shelf, rule.window_s)
        if now < end:
            b = int(random.binomial(REQUESTS, STEPS[now // STEP_S]))
            rate = 0.05 if now < RISE_S else 0.4
            wrong = [int(random.binomial(n, rate)) for n in (REQUESTS - b, b)]
            made[now] = (REQUESTS - b, b, wrong[0], wrong[1])
            count(windows.begin(us(now)), served=made[now])
        if now - LABELS_S in made:
            count(windows.find(us(now - LABELS_S)), labelled=made[now - LABELS_S])
        shelf = msgspec.structs.replace(shelf, waiting=windows.waiting)
        if now % 60 == 0:
            found = sort(shelf, us(now), rule)
            shelf = found.shelf
            state = harm.step(test, state, [cohort.counts for cohort in found.ready])
            most = max(most, state.log_e)
    return most


def count(
    cohort: Cohort | None,
    served: tuple[int, ...] = (0, 0, 0, 0),
    labelled: tuple[int, ...] = (0, 0, 0, 0),
) -> None:
    """Add predictions of both arms, or their labels, to a cohort, unless it is gone."""
    if cohort is None:
        return
    for arm, of in ((cohort.a, 0), (cohort.b, 1)):
        arm.served += served[of]
        arm.labelled += labelled[of]
        arm.wrong += labelled[of + 2]


@pytest.mark.slow
def test_a_shared_rise_after_a_step_is_nobodys_fault_however_late_labels_are() -> None:
    runs = 12
    fired = sum(evidence(seed, told=True) >= log(1 / ALPHA) for seed in range(runs))
    assert fired / runs <= ALPHA + 3 * sqrt(ALPHA * (1 - ALPHA) / runs)


def test_cohorts_over_a_step_would_blame_the_candidate() -> None:
    """What the changes are for: without them every such canary is rolled back."""
    assert min(evidence(seed, told=False) for seed in range(2)) >= log(1 / ALPHA)
