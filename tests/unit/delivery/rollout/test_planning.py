"""What a rollout would take and see, said before it starts."""

from __future__ import annotations

import pytest

from tests.support.evidence import definition
from triune.core.rollout_config import Strategy
from triune.delivery.rollout.history import Traffic
from triune.delivery.rollout.model import define
from triune.delivery.rollout.planning import plan


def traffic(requests: int, seconds: float = 600.0, anonymous: int = 0) -> Traffic:
    return Traffic(seconds, requests, requests // 100, 100, anonymous, 2.0, 4.0, 9.0)


def test_a_busy_endpoint_sees_a_doubled_error_rate_in_minutes() -> None:
    found = plan("e", definition(steps=[10.0]), traffic(60_000), 0.01, 0.02)
    (step,) = found.steps
    assert step.rate == pytest.approx(10.0)
    assert step.lasts_s == 300.0
    assert step.median_s is not None
    assert 60 <= step.median_s <= 600
    assert step.p90_s is not None
    assert step.median_s <= step.p90_s
    assert step.seen > 0.95
    assert found.total_s == 300.0
    assert found.warnings == ()


def test_more_traffic_sees_the_same_harm_sooner() -> None:
    seen = [
        plan("e", definition(steps=[10.0]), traffic(n), 0.01, 0.02).steps[0].median_s
        for n in (12_000, 60_000, 600_000)
    ]
    assert seen == sorted(seen, key=lambda value: -(value or float("inf")))


def test_without_traffic_nothing_is_promised() -> None:
    found = plan("e", definition(), traffic(0, 0.0), 0.01, 0.02)
    assert [step.median_s for step in found.steps] == [None] * 4
    assert found.total_s is None
    assert "without traffic no verdict" in found.warnings[0]


def test_steps_longer_than_the_horizon_are_warned_of() -> None:
    how = definition(steps=[1.0], min_requests=1000, horizon_s=3600.0)
    found = plan("e", how, traffic(50), 0.01, 0.02)
    assert any("longer than the horizon" in words for words in found.warnings)
    assert any("would not be seen" in words for words in found.warnings)


def test_requests_without_a_unit_are_warned_of() -> None:
    found = plan("e", definition(), traffic(60_000, anonymous=50_000), 0.01, 0.02)
    assert any("x-triune-unit" in words for words in found.warnings)


def test_blue_green_has_no_steps() -> None:
    found = plan("e", define(None), traffic(60_000), 0.01, 0.02)
    assert (found.strategy, found.steps) == (Strategy.BLUE_GREEN, ())
