"""The weighted gate."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triune.stats.gate import combine, culprits

logs = st.floats(-800.0, 600.0)


@given(st.lists(st.tuples(logs, st.floats(0.0, 1.0)), min_size=1, max_size=6))
def test_it_is_the_weighted_mean(pairs: list[tuple[float, float]]) -> None:
    total = sum(weight for _, weight in pairs) or 1.0
    log_es, weights = [log for log, _ in pairs], [weight / total / 1.001 for _, weight in pairs]
    rest = 1.0 - math.fsum(weights)
    mean = math.fsum(w * math.exp(log) for w, log in zip(weights, log_es, strict=True)) + rest
    assert combine(log_es, weights) == pytest.approx(math.log(mean), abs=1e-9)


def test_it_neither_overflows_nor_underflows() -> None:
    assert combine([1e6, -1e6], [0.5, 0.5]) == pytest.approx(1e6 - math.log(2))
    assert combine([-1e6, -2e6], [0.5, 0.5]) <= 0.0
    assert combine([-1e6], [1.0]) == pytest.approx(-1e6)
    assert combine([], []) == 0.0


def test_culprits_are_those_that_fire_alone() -> None:
    weights = [0.5, 0.25, 0.25]
    log_es = [math.log(200.0), math.log(399.0), math.log(4000.0)]
    assert culprits(log_es, weights, alpha=0.01) == (2, 0)
    assert culprits([1e3, 0.0, 0.0], [0.0, 0.5, 0.5], alpha=0.01) == ()


@pytest.mark.parametrize("weights", [[0.9, 0.2], [-0.1, 0.5], [1.0]])
def test_weights_that_break_the_guarantee_are_refused(weights: list[float]) -> None:
    with pytest.raises(ValueError, match="weights"):
        combine([0.0, 0.0], weights)
    with pytest.raises(ValueError, match="weights"):
        culprits([0.0, 0.0], weights, alpha=0.01)
