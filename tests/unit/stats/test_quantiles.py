"""Quantiles with intervals that hold at any time."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm

from triune.stats import quantile_ab, quantile_process, quantile_stitching
from triune.stats.quantile_effect import of_samples as effect_of
from triune.stats.quantile_interval import QuantileInterval, of_histogram, of_samples, shares

LOOKS = (10, 30, 100, 300, 1000)


@pytest.mark.parametrize("q", [0.5, 0.9])
def test_the_interval_holds_the_quantile_at_every_look(q: float) -> None:
    runs, missed = 400, 0
    draw, truth = np.random.default_rng(8), norm.ppf(q)
    for _ in range(runs):
        values = draw.normal(size=LOOKS[-1])
        found = [of_samples(values[:n], q, 0.1, 300) for n in LOOKS]
        missed += any(not one.low <= truth <= one.high for one in found)
    assert missed / runs <= 0.1


def test_ties_do_not_break_the_interval() -> None:
    values = [0.0] * 600 + [1.0] * 400
    assert of_samples(values, 0.5, 0.05) == QuantileInterval(0.0, 0.0, 0.0, 1000)
    assert of_samples(values, 0.6, 0.05) == QuantileInterval(0.0, 0.0, 1.0, 1000)


def test_few_samples_bound_nothing() -> None:
    assert of_samples([], 0.9, 0.05).n == 0
    assert math.isnan(of_samples([], 0.9, 0.05).estimate)
    few = of_samples([1.0, 2.0, 3.0], 0.5, 0.05)
    assert (few.low, few.estimate, few.high) == (-math.inf, 2.0, math.inf)
    assert math.isnan(of_histogram([0.0, 1.0], [0, 0], 0.5, 0.05).estimate)


def test_a_histogram_gives_the_bins_around_the_samples_interval() -> None:
    values = np.random.default_rng(9).lognormal(3.0, 0.6, 5000)
    edges = np.concatenate([[0.0], np.geomspace(1.0, 1000.0, 240)])
    counts = np.histogram(values, np.append(edges, np.inf))[0]
    for q in (0.5, 0.9, 0.99):
        fine, coarse = of_samples(values, q, 0.05), of_histogram(edges, counts, q, 0.05)
        assert coarse.low <= fine.low < coarse.low * 1.03
        assert fine.high <= coarse.high < fine.high * 1.03
        assert coarse.estimate == pytest.approx(fine.estimate, rel=0.03)


def test_an_open_last_bin_leaves_the_top_open() -> None:
    found = of_histogram([0.0, 10.0], [100, 900], 0.5, 0.05)
    assert (found.low, found.estimate, found.high) == (10.0, math.inf, math.inf)


def test_the_share_of_a_rare_tail_is_bounded_on_both_sides() -> None:
    low, high = shares(10_000, 0.99, 0.05)
    assert 0.98 < low < 0.99 < high < 1.0


def test_the_band_and_the_stitched_bound_are_wider_than_the_one_for_one_quantile() -> None:
    for q in (0.5, 0.9):
        single = shares(1000, q, 0.05)[1] - q
        assert single < quantile_stitching.bound(q, 1000, 0.05, 1000) / 1000
        assert single < quantile_process.lil_radius(1000, 0.05, 100)
    assert quantile_process.lil_radius(99, 0.05, 100) == math.inf


def test_the_stitched_bound_is_tighter_in_the_tails_than_the_band() -> None:
    n = 1_000_000
    stitched = quantile_stitching.bound(0.999, n, 0.05, 1000) / n
    assert stitched < quantile_process.lil_radius(n, 0.05, 100) / 3


def test_equal_arms_are_told_apart_in_at_most_alpha() -> None:
    runs, fired = 200, 0
    draw = np.random.default_rng(10)
    for _ in range(runs):
        a, b = draw.exponential(size=(2, 1000))
        fired += any(quantile_ab.p_value(a[:n], b[:n], 0.5, 500) <= 0.1 for n in LOOKS)
    assert fired / runs <= 0.1


def test_unequal_arms_of_unequal_size_are_told_apart() -> None:
    draw = np.random.default_rng(11)
    a, b = draw.exponential(1.0, 9000), draw.exponential(1.5, 1000)
    assert quantile_ab.p_value(a, b, 0.9, 2000) < 1e-4
    assert quantile_ab.p_value(b, a, 0.9, 2000) == quantile_ab.p_value(a, b, 0.9, 2000)
    assert quantile_ab.p_value(a, [], 0.9, 2000) == 1.0


def test_a_quantiles_standard_error_is_the_normal_one() -> None:
    values = np.random.default_rng(12).normal(size=40_000)
    arm = effect_of(values, 0.5)
    assert math.sqrt(arm.variance) == pytest.approx(math.sqrt(math.pi / 2), rel=0.1)
    with pytest.raises(ValueError):
        effect_of(values[:50], 0.99)


def test_what_cannot_be_asked_is_refused() -> None:
    for wrong in (
        lambda: shares(10, 1.0, 0.05),
        lambda: of_samples([1.0], 0.5, 0.0),
        lambda: of_histogram([1.0, 2.0], [1], 0.5, 0.05),
        lambda: quantile_ab.p_value([1.0], [1.0], 0.0, 10),
        lambda: quantile_stitching.bound(1.0, 10, 0.05, 10),
        lambda: quantile_process.lil_radius(10, 0.05, 0),
    ):
        with pytest.raises(ValueError):
            wrong()
