"""Equal shares at any time: against a plain minimum over many shares, and its guarantee."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triune.stats import beta_binomial
from triune.stats.bernoulli import equal, interval

COUNTS = st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def product(p: float, arms: list[tuple[int, int]]) -> float:
    spread = p * (1.0 - p)
    return sum(
        beta_binomial.log_mixture(
            k - p * n, spread * n, spread * 1000.0, p, 1.0 - p, one_sided=False
        )
        for k, n in arms
    )


@given(COUNTS, COUNTS)
@settings(max_examples=40, deadline=None)
def test_it_is_one_over_the_smallest_product(a: tuple[int, int], b: tuple[int, int]) -> None:
    logits = np.linspace(-25.0, 25.0, 400)
    least = min(product(1.0 / (1.0 + math.exp(-x)), [a, b]) for x in logits.tolist())
    assert equal(a, b) >= min(1.0, math.exp(-least)) * (1.0 - 1e-6)
    assert equal(a, b) == pytest.approx(equal(b, a), rel=1e-6)


def test_it_is_sharper_than_two_intervals_that_are_apart() -> None:
    for k in range(8, 60):
        if interval(k, 10_000, 0.025)[0] > interval(2, 10_000, 0.025)[1]:
            assert equal((2, 10_000), (k, 10_000)) < 0.05


def test_without_trials_there_is_no_evidence() -> None:
    assert equal((0, 0), (5, 10)) == 1.0
    with pytest.raises(ValueError, match="impossible"):
        equal((3, 2), (0, 1))
