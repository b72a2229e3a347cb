"""A rollout's table: every mistake at once, each with what is wrong and how to mend it."""

from __future__ import annotations

from typing import Any

import pytest

from triune.core.config import parse
from triune.core.errors import ConfigError
from triune.core.rollout_config import MetricName, Mode, Strategy
from triune.delivery.rollout.model import define


def problems(**rollout: Any) -> dict[str, str]:
    table = {
        "workspace": {"name": "w"},
        "endpoints": {"e": {"model": "m", "rollout": rollout}},
    }
    try:
        parse(table)
    except ConfigError as error:
        return {p.key.removeprefix("endpoints.e.rollout."): p.what for p in error.problems}
    return {}


def test_the_defaults_are_sound() -> None:
    assert problems() == {}


@pytest.mark.parametrize(
    ("rollout", "key", "what"),
    [
        ({"steps": [1, 5, 5]}, "steps", "do not rise"),
        ({"steps": [5, 1]}, "steps", "do not rise"),
        ({"steps": [1, 120]}, "steps", "past 100 %"),
        ({"steps": [50, 100]}, "steps", "nothing left to compare"),
        ({"steps": [0, 10]}, "steps", "moves nobody"),
        ({"steps": [0.001, 10]}, "steps", "less than one bucket"),
        ({"steps": []}, "steps", "no step"),
        ({"steps": [10, 75], "baseline": True}, "steps", "no room for a baseline"),
        ({"alpha": 0}, "alpha", "greater than 0"),
        ({"alpha": 1}, "alpha", "less than 1"),
        ({"step_s": 5}, "step_s", "shorter than a tick"),
        ({"horizon_s": 5}, "horizon_s", "shorter than a tick"),
        ({"strategy": "yolo"}, "strategy", "not one of the choices"),
        ({"metrics": [{"name": "eror"}]}, "metrics.0.name", "not one of the choices"),
        ({"metrics": [{"name": "errors", "weight": 0}]}, "metrics.0.weight", "greater than 0"),
        ({"metrics": [{"name": "errors"}] * 2}, "metrics", "there twice"),
        ({"metrics": [{"name": "errors", "mode": "pause"}]}, "metrics", "`automatic`"),
        ({"stepz": [1]}, "stepz", "unknown key"),
    ],
)
def test_a_mistake_is_named(rollout: dict[str, Any], key: str, what: str) -> None:
    assert what in problems(**rollout)[key]


def test_all_mistakes_are_reported_at_once() -> None:
    found = problems(steps=[5, 1], alpha=2, step_s=1, metrics=[{"name": "x"}], hello=1)
    assert set(found) == {"steps", "alpha", "step_s", "metrics.0.name", "hello"}


def test_weights_are_shares_within_each_mode() -> None:
    from triune.core.rollout_config import RolloutTable

    metrics = [
        {"name": "errors", "weight": 3},
        {"name": "timeouts", "weight": 1},
        {"name": "latency-p99", "mode": "pause"},
        {"name": "degraded", "mode": "observe"},
    ]
    found = {m.name: m for m in define(RolloutTable.model_validate({"metrics": metrics})).metrics}
    assert found[MetricName.ERRORS].weight == 0.75
    assert found[MetricName.TIMEOUTS].weight == 0.25
    assert found[MetricName.LATENCY_P99].weight == 1.0
    assert (found[MetricName.DEGRADED].weight, found[MetricName.DEGRADED].mode) == (
        0.0,
        Mode.OBSERVE,
    )
    assert found[MetricName.LATENCY_P99].margin == 0.05


def test_without_a_table_a_rollout_is_blue_green_and_a_command_may_ask_for_another() -> None:
    assert define(None).strategy is Strategy.BLUE_GREEN
    assert define(None, Strategy.CANARY).steps == (100, 500, 2500, 5000)
    assert define(None, Strategy.SHADOW).shadow_pairs == 1000
