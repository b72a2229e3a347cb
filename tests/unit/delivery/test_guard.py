"""When the guard goes back, completes or waits."""

from __future__ import annotations

import pytest

from triune.delivery.gateway.model import Counters
from triune.delivery.guard import Action, Check, ErrorRate, Reading, Streak, decide, worst


def reading(at: float, healthy: bool) -> Reading:
    return Reading(at, Check.HEALTH, healthy, "words")


def streak(*looks: bool) -> Streak:
    made = Streak()
    for at, healthy in enumerate(looks):
        made = made.after(reading(float(at), healthy))
    return made


@pytest.mark.parametrize(
    ("looks", "now", "expected"),
    [
        ((), 0, Action.WAIT),
        ((True, True), 5, Action.WAIT),
        ((False,), 5, Action.WAIT),
        ((False, True, False), 5, Action.WAIT),
        ((False, False), 5, Action.ROLL_BACK),
        ((True, False, False, False), 5, Action.ROLL_BACK),
        ((), 200, Action.WAIT),
        ((True,), 200, Action.WAIT),
        ((False, False), 200, Action.ROLL_BACK),
    ],
)
def test_decide(looks: tuple[bool, ...], now: float, expected: Action) -> None:
    assert decide(streak(*looks), now=now, until=100, limit=2) is expected


def test_a_window_is_complete_only_by_a_good_look_after_its_end() -> None:
    good = Streak(last=reading(100.5, True))
    bad = Streak().after(reading(100.5, False))
    assert decide(good, now=101, until=100, limit=2) is Action.COMPLETE
    assert decide(bad, now=101, until=100, limit=2) is Action.WAIT


def test_a_streak_knows_since_when() -> None:
    made = streak(True, False, False)
    assert (made.failures, made.since) == (2, 1.0)
    assert streak(False, True).since is None


def samples(*points: tuple[float, int, int]) -> ErrorRate:
    made = ErrorRate()
    for at, total, errors in points:
        made = made.after(at, Counters(total, errors))
    return made


@pytest.mark.parametrize(
    ("points", "healthy"),
    [
        ([(0.0, 0, 0), (0.2, 20, 12)], False),
        ([(0.0, 0, 0), (0.2, 9, 9)], True),
        ([(0.0, 0, 0), (0.2, 24, 12)], True),
        ([(0.0, 1000, 900), (0.2, 1100, 900)], True),
        ([(0.0, 0, 0), (1.0, 900, 0), (1.2, 911, 11)], True),
        ([(0.0, 0, 0), (5.0, 50, 50), (5.5, 60, 50), (6.1, 70, 50)], True),
    ],
)
def test_the_share_of_errors_in_the_last_second(
    points: list[tuple[float, int, int]], healthy: bool
) -> None:
    found = samples(*points).reading(points[-1][0])
    assert found is not None
    assert found.healthy is healthy


def test_one_sample_says_nothing() -> None:
    assert samples((0.0, 10, 10)).reading(0.0) is None


def test_samples_do_not_pile_up() -> None:
    made = samples(*((number / 10, number, 0) for number in range(1000)))
    assert len(made.samples) <= 12


def test_a_failed_look_counts_before_a_good_one() -> None:
    good, bad = reading(0, True), reading(0, False)
    assert worst(good, bad) is bad
    assert worst(good, None) is good
    assert worst(None) is None
