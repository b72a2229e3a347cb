"""How long a rollout would take to see harm."""

from __future__ import annotations

import math

import pytest

from triune.stats.power import Detection, detection, expected_seconds


def test_a_doubled_error_rate_is_forecast_within_minutes() -> None:
    found = detection(100, 0.1, 0.01, 0.02, alpha=0.01)
    assert found.detected_share == 1.0
    assert found.median_s is not None
    assert found.p90_s is not None
    assert 60 <= found.median_s <= 240
    assert found.median_s < found.p90_s <= 480


def test_the_approximation_is_near_the_simulated_median() -> None:
    for rate, share, p0, p1 in (
        (100, 0.1, 0.01, 0.02),
        (20, 0.5, 0.05, 0.1),
        (500, 0.02, 0.01, 0.03),
    ):
        found = detection(rate, share, p0, p1, alpha=0.01)
        about = expected_seconds(rate, share, p0, p1, alpha=0.01)
        assert found.median_s is not None
        assert found.median_s == pytest.approx(about, rel=0.5, abs=20)


def test_less_traffic_weight_or_independence_takes_longer() -> None:
    def seconds(rate: float = 100, **extra: float) -> float:
        return expected_seconds(rate, 0.1, 0.01, 0.02, **{"alpha": 0.01, **extra})

    assert seconds() < seconds(50) < seconds(10)
    assert seconds() < seconds(weight=0.25)
    assert seconds() < seconds(alpha=0.001)
    assert seconds() < seconds(phi=2.0)
    assert seconds() < seconds(margin=0.2)
    slow, fast = (detection(100, 0.1, 0.01, 0.02, alpha=0.01, phi=phi) for phi in (3.0, 1.0))
    assert slow.median_s is not None
    assert fast.median_s is not None
    assert slow.median_s > 2 * fast.median_s


def test_no_harm_is_not_seen() -> None:
    assert expected_seconds(100, 0.1, 0.01, 0.01, alpha=0.01) == math.inf
    found = detection(100, 0.1, 0.01, 0.01, alpha=0.01)
    assert (found.median_s, found.p90_s) == (None, None)
    assert found.detected_share <= 0.01 + 3 * math.sqrt(0.01 / 400)


def test_too_little_traffic_is_said_to_be_too_little() -> None:
    found = detection(5 / 60, 0.1, 0.01, 0.02, alpha=0.01)
    assert found.median_s is None
    assert found.detected_share < 0.5


def test_the_merged_ticks_do_not_run_past_the_plan() -> None:
    found = detection(1.0, 0.5, 0.05, 0.10, alpha=0.01, planned_ticks=700)
    assert found.p90_s is None or found.p90_s <= 7000


def test_a_single_planned_tick_and_certain_failure_are_fine() -> None:
    assert detection(100, 0.5, 0.0, 1.0, alpha=0.01, planned_ticks=1) == Detection(10.0, 10.0, 1.0)
    assert detection(100, 0.5, 0.0, 1.0, alpha=0.01, phi=3.0).detected_share == 1.0


def test_the_same_question_has_the_same_answer() -> None:
    first, second = (detection(100, 0.1, 0.01, 0.03, alpha=0.01) for _ in range(2))
    assert first == second


def test_what_cannot_be_asked_is_refused() -> None:
    for rate, share, p1, alpha in (
        (0.0, 0.1, 0.1, 0.01),
        (1.0, 1.0, 0.1, 0.01),
        (1.0, 0.1, 1.1, 0.01),
        (1.0, 0.1, 0.1, 0.0),
    ):
        with pytest.raises(ValueError):
            detection(rate, share, 0.01, p1, alpha=alpha)
