"""Sample ratio, count ratio, looks planned beforehand, many metrics, ranks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm

from triune.stats import count_ratio, group_sequential, multiple, rank_sum, sample_ratio
from triune.stats.sample_ratio import SampleRatio


def test_a_right_split_is_called_wrong_in_at_most_alpha() -> None:
    draw, runs, fired = np.random.default_rng(41), 1000, 0
    for _ in range(runs):
        counts, state = np.zeros(2, dtype=int), SampleRatio()
        for more in draw.binomial(2000, 0.1, 40):
            counts += (2000 - more, more)
            state = sample_ratio.step(state, counts.tolist(), [0.9, 0.1])
        fired += state.p <= 0.05
    assert fired / runs <= 0.05


def test_a_wrong_split_is_found_and_stays_found() -> None:
    state = sample_ratio.step(SampleRatio(), [52_000, 48_000], [0.5, 0.5])
    assert state.p < 1e-3
    assert sample_ratio.step(state, [52_000, 52_000], [0.5, 0.5]).p == state.p


def test_an_arm_that_should_be_empty_must_be() -> None:
    assert sample_ratio.step(SampleRatio(), [10, 1], [1.0, 0.0]).p == 0.0
    assert sample_ratio.step(SampleRatio(), [10, 1], [1.0, 0.0]).bayes_factor > 1e300
    assert sample_ratio.chi_square([10, 1], [1.0, 0.0]) == 0.0
    assert sample_ratio.chi_square([0, 0], [0.5, 0.5]) == 1.0
    assert sample_ratio.step(SampleRatio(), [5, 5, 0], [0.5, 0.5, 0.0]).p == 1.0


def test_equal_rates_are_told_apart_in_at_most_alpha() -> None:
    draw, runs = np.random.default_rng(42), 1000
    candidate = draw.binomial(20, 0.1, (runs, 50)).cumsum(axis=1)
    total = 20 * np.arange(1, 51)
    fired = [
        any(
            count_ratio.log_bayes_factor(int(n - b), int(b), 0.1) >= math.log(20)
            for n, b in zip(total, row, strict=True)
        )
        for row in candidate
    ]
    assert np.mean(fired) <= 0.05


def test_the_count_interval_agrees_with_the_bayes_factor() -> None:
    found = count_ratio.compare(360, 70, 0.1, 0.05)
    assert found.low > 0.0
    assert found.p < 0.05
    assert count_ratio.compare(900, 100, 0.1, 0.05).p == 1.0
    empty = count_ratio.compare(0, 0, 0.1, 0.05)
    assert (empty.low, empty.high, empty.log_odds) == (-math.inf, math.inf, 0.0)
    assert math.isnan(empty.estimate)


def test_one_look_is_the_fixed_test_and_more_looks_cost_more() -> None:
    assert group_sequential.bounds([1.0], 0.05) == pytest.approx([norm.isf(0.025)])
    four = group_sequential.bounds([0.25, 0.5, 0.75, 1.0], 0.05)
    assert four == sorted(four, reverse=True)
    assert four[-1] > norm.isf(0.025)


def test_walks_cross_the_planned_bounds_in_alpha() -> None:
    fractions = np.array([0.2, 0.5, 0.6, 1.0])
    bounds = group_sequential.bounds(fractions.tolist(), 0.05)
    runs = 200_000
    steps = np.sqrt(np.diff(fractions, prepend=0.0))
    walks = (np.random.default_rng(43).normal(size=(runs, 4)) * steps).cumsum(axis=1)
    crossed = (np.abs(walks / np.sqrt(fractions)) >= bounds).any(axis=1).mean()
    assert crossed == pytest.approx(0.05, abs=4 * math.sqrt(0.05 / runs))


def test_many_close_looks_are_exact_too() -> None:
    many = [i / 200 for i in range(1, 201)]
    bounds = np.array(group_sequential.bounds(many, 0.05))
    runs = 20_000
    walks = np.random.default_rng(44).normal(size=(runs, 200)).cumsum(axis=1)
    z = walks / np.sqrt(np.arange(1, 201))
    crossed = (np.abs(z) >= bounds).any(axis=1).mean()
    assert crossed == pytest.approx(0.05, abs=4 * math.sqrt(0.05 / runs))


def test_a_first_look_that_may_spend_nothing_has_the_largest_bound() -> None:
    assert group_sequential.bounds([1e-7, 1.0], 0.05)[0] == group_sequential.REACH


def test_the_corrections_are_the_textbooks() -> None:
    assert multiple.holm([]) == []
    assert multiple.benjamini_hochberg([]) == []
    assert multiple.holm([0.2]) == [0.2]
    ps = [0.001, 0.008, 0.039, 0.041, 0.042, 0.06, 0.074, 0.205]
    adjusted = multiple.benjamini_hochberg(ps)
    assert adjusted[:2] == pytest.approx([0.008, 0.032])
    assert sum(p <= 0.05 for p in adjusted) == 2


def test_the_shift_is_found_with_its_interval() -> None:
    draw = np.random.default_rng(45)
    x, y = draw.normal(1.0, 1.0, 200), draw.normal(0.0, 1.0, 150)
    found = rank_sum.compare(x, y)
    assert found.low < 1.0 < found.high
    assert found.low < found.estimate < found.high
    assert found.p < 1e-6


def test_the_rank_interval_is_the_set_of_shifts_not_rejected() -> None:
    draw = np.random.default_rng(46)
    x, y = draw.normal(0.3, 1.0, 30), draw.normal(0.0, 1.0, 25)
    found = rank_sum.compare(x, y, 0.95)
    step = 1e-7
    for end, inward in ((found.low, step), (found.high, -step)):
        assert rank_sum.compare(x - (end + inward), y).p > 0.05
        assert rank_sum.compare(x - (end - inward), y).p <= 0.05


def test_what_cannot_be_asked_is_refused() -> None:
    for wrong in (
        lambda: sample_ratio.chi_square([1], [1.0]),
        lambda: sample_ratio.chi_square([1, 2], [1.0]),
        lambda: sample_ratio.chi_square([1, -2], [0.5, 0.5]),
        lambda: sample_ratio.chi_square([1, 2], [0.0, 0.0]),
        lambda: count_ratio.log_bayes_factor(1, 1, 0.0),
        lambda: count_ratio.compare(1, 1, 0.5, 1.0),
        lambda: count_ratio.compare(-1, 1, 0.5, 0.05),
        lambda: group_sequential.bounds([], 0.05),
        lambda: group_sequential.bounds([0.5, 0.4], 0.05),
        lambda: group_sequential.bounds([0.5, 1.1], 0.05),
        lambda: group_sequential.bounds([1.0], 0.05, sides=3),
        lambda: multiple.holm([1.2]),
        lambda: rank_sum.compare([], [1.0]),
        lambda: rank_sum.compare([1.0, 1.0], [1.0]),
    ):
        with pytest.raises(ValueError):
            wrong()
