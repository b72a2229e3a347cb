"""How far a distribution moved: the index and the distance."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from triune.stats import kolmogorov_smirnov, population_stability

COUNTS = st.lists(
    st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=1, max_size=12
).filter(lambda bins: any(b for b, _ in bins) and any(a for _, a in bins))


@given(COUNTS)
def test_the_index_is_symmetric_never_negative_and_finite(bins: list[tuple[int, int]]) -> None:
    before, after = [b for b, _ in bins], [a for _, a in bins]
    there = population_stability.compare(before, after)
    back = population_stability.compare(after, before)
    assert there.psi == pytest.approx(back.psi)
    assert there.noise == pytest.approx(back.noise)
    assert 0.0 <= there.psi < math.inf
    assert population_stability.compare(before, before).psi == 0.0


def test_the_index_by_hand() -> None:
    found = population_stability.compare([60, 40], [30, 70])
    p, q = np.array([60.5, 40.5]) / 101, np.array([30.5, 70.5]) / 101
    assert found.psi == pytest.approx(float(((q - p) * np.log(q / p)).sum()))
    assert found.noise == pytest.approx(3.8415 * (1 / 100 + 1 / 100), rel=1e-4)


def test_samples_of_one_distribution_stay_below_the_noise() -> None:
    random = np.random.default_rng(4)
    shares = np.full(10, 0.1)
    above = 0
    for _ in range(400):
        before, after = random.multinomial(2000, shares), random.multinomial(3000, shares)
        found = population_stability.compare(before.tolist(), after.tolist())
        above += found.psi > found.noise
    assert 0.02 < above / 400 < 0.09


def test_the_index_of_a_new_value_does_not_grow_with_the_tables() -> None:
    small, large = (
        population_stability.compare([rows, 0], [rows * 9, rows]).psi for rows in (10**5, 10**8)
    )
    assert small == pytest.approx(large)


@pytest.mark.parametrize(
    ("before", "after"), [([], []), ([0], [1]), ([1], [0]), ([1, 2], [1]), ([-1, 3], [1, 1])]
)
def test_counts_that_say_nothing_are_refused(before: list[int], after: list[int]) -> None:
    with pytest.raises(ValueError, match="need"):
        population_stability.compare(before, after)


VALUES = st.lists(st.integers(-20, 20), min_size=1, max_size=40)


@given(VALUES, VALUES)
def test_the_distance_is_the_largest_between_the_functions(x: list[int], y: list[int]) -> None:
    found = kolmogorov_smirnov.compare(x, y)
    gaps = [
        abs(sum(v <= at for v in x) / len(x) - sum(v <= at for v in y) / len(y)) for at in {*x, *y}
    ]
    assert found.d == pytest.approx(max(gaps))
    assert 0.0 <= found.p <= 1.0


def test_an_empty_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        kolmogorov_smirnov.compare([], [1.0])


def test_the_p_value_is_that_of_scipy_when_there_are_many() -> None:
    random = np.random.default_rng(3)
    x, y = random.normal(size=3000), random.normal(0.03, 1.0, size=4000)
    found, wanted = kolmogorov_smirnov.compare(x, y), ks_2samp(x, y, method="asymp")
    assert found.d == pytest.approx(wanted.statistic)
    assert found.p == pytest.approx(wanted.pvalue, abs=0.02)
