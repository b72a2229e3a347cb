"""What holds for every confidence sequence and boundary, whatever the numbers."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from triune.stats import (
    asymptotic,
    bernoulli,
    beta_binomial,
    count_ratio,
    empirical_bernstein,
    gamma_exponential,
    gamma_poisson,
    normal_mixture,
    quantile_interval,
    quantile_process,
    quantile_stitching,
    stitching,
)
from triune.stats.betting import Betting
from triune.stats.empirical_bernstein import Spread

alphas = st.floats(0.001, 0.4)
times = st.floats(0.1, 1e5)
shares = st.floats(0.02, 0.98)
bounded = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=60)
counts = st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(v=times, more=st.floats(1.1, 10.0), alpha=alphas, v_opt=st.floats(1.0, 1e4))
def test_boundaries_rise_with_time_and_with_certainty(
    v: float, more: float, alpha: float, v_opt: float
) -> None:
    for bound in (
        lambda v, a: normal_mixture.bound(v, a, v_opt, one_sided=False),
        lambda v, a: normal_mixture.bound(v, a, v_opt),
        lambda v, a: gamma_exponential.bound(v, a, v_opt, 1.0),
        lambda v, a: gamma_poisson.bound(v, a, v_opt, 1.0),
        lambda v, a: stitching.bound(v, a, v_opt, 0.5),
    ):
        # The stitched bound is flat below its v_min.
        assert bound(v * more, alpha) >= bound(v, alpha) * (1 - 1e-9)
        assert bound(v, alpha / 2) > bound(v, alpha)
        # Yet slower than time: the interval of the mean shrinks.
        assert bound(v * more, alpha) / (v * more) < bound(v, alpha) / v


@given(p=shares, n=st.integers(1, 5000), alpha=alphas)
def test_the_two_sides_of_a_bounded_walk_mirror_each_other(p: float, n: int, alpha: float) -> None:
    v = n * p * (1 - p)
    up = beta_binomial.bound(v, alpha, 50.0, p, 1 - p, one_sided=False)
    assert up <= v / p * (1 + 1e-12)
    mirrored = beta_binomial.log_mixture(-up, v, 50.0, 1 - p, p, one_sided=False)
    straight = beta_binomial.log_mixture(up, v, 50.0, p, 1 - p, one_sided=False)
    assert math.isclose(mirrored, straight, rel_tol=1e-6, abs_tol=1e-6)


@given(case=counts, alpha=alphas)
def test_a_shares_interval_holds_the_share_and_nests_in_alpha(
    case: tuple[int, int], alpha: float
) -> None:
    successes, n = case
    low, high = bernoulli.interval(successes, n, alpha, 200)
    wide_low, wide_high = bernoulli.interval(successes, n, alpha / 3, 200)
    assert 0.0 <= wide_low <= low <= successes / n <= high <= wide_high <= 1.0
    mirrored = bernoulli.interval(n - successes, n, alpha, 200)
    assert math.isclose(mirrored[0], 1 - high, abs_tol=1e-6)


@given(case=counts, alpha=alphas)
def test_a_shares_interval_shrinks_with_more_of_the_same(
    case: tuple[int, int], alpha: float
) -> None:
    successes, n = case
    low, high = bernoulli.interval(successes, n, alpha, 200)
    more_low, more_high = bernoulli.interval(4 * successes, 4 * n, alpha, 200)
    assert more_high - more_low <= high - low + 1e-9


@given(values=bounded, alpha=alphas)
def test_bounded_means_are_inside_and_nest_in_alpha(values: list[float], alpha: float) -> None:
    state, mean = Spread.of(values), float(np.mean(values))
    inner, outer = (empirical_bernstein.interval(state, a, 5.0) for a in (alpha, alpha / 3))
    assert 0.0 <= outer[0] <= inner[0] <= mean + 1e-9
    assert mean - 1e-9 <= inner[1] <= outer[1] <= 1.0


@given(values=bounded)
@settings(max_examples=30)
def test_the_bets_keep_the_mean_of_the_data_and_mirror(values: list[float]) -> None:
    plain, mirrored = Betting(0.05, grid=100), Betting(0.05, grid=100)
    for value in values:
        plain.add(value)
        mirrored.add(1.0 - value)
    low, high = plain.interval()
    assert low <= high
    other = mirrored.interval()
    assert math.isclose(other[0], 1 - high, abs_tol=0.011)
    assert math.isclose(other[1], 1 - low, abs_tol=0.011)


@given(n=st.integers(1, 10**6), alpha=alphas, n_star=st.floats(10, 1e6))
def test_asymptotic_radii_shrink_and_nest(n: int, alpha: float, n_star: float) -> None:
    for one_sided in (False, True):
        r = asymptotic.tuning(alpha, n_star, one_sided=one_sided)

        def radius(n: int, alpha: float, r: float = r, one_sided: bool = one_sided) -> float:
            return asymptotic.radius(n, alpha, r, one_sided=one_sided)

        assert radius(n + 1, alpha) < radius(n, alpha)
        assert radius(n, alpha / 2) > radius(n, alpha)
    both = asymptotic.radius(n, alpha, r)
    assert asymptotic.radius(n, alpha, r, one_sided=True) < both


@given(z=st.floats(-30, 30), more=st.floats(0.0, 5.0), n=st.integers(1, 10**6))
def test_anytime_p_values_fall_with_the_evidence(z: float, more: float, n: int) -> None:
    for one_sided in (False, True):
        p = asymptotic.p_value(abs(z), n, 0.05, one_sided=one_sided)
        assert 0.0 <= asymptotic.p_value(abs(z) + more, n, 0.05, one_sided=one_sided) <= p <= 1.0
    assert asymptotic.p_value(-abs(z), n, 0.05, one_sided=True) == 1.0


@given(
    values=st.lists(st.integers(0, 30), min_size=1, max_size=300),
    q=st.floats(0.05, 0.95),
    alpha=alphas,
)
def test_a_quantiles_interval_holds_its_estimate_and_nests(
    values: list[int], q: float, alpha: float
) -> None:
    inner, outer = (quantile_interval.of_samples(values, q, a, 100) for a in (alpha, alpha / 3))
    assert outer.low <= inner.low <= inner.estimate <= inner.high <= outer.high
    edges = np.arange(31.0)
    coarse = quantile_interval.of_histogram(edges, np.bincount(values, minlength=31), q, alpha, 100)
    assert coarse.low == inner.low
    assert coarse.high in (inner.high + 1, math.inf)
    assert coarse.low <= coarse.estimate <= coarse.high


@given(n=st.integers(1, 10**7), q=st.floats(0.01, 0.99), alpha=alphas)
def test_the_shares_around_a_quantile_close_in_on_it(n: int, q: float, alpha: float) -> None:
    low, high = quantile_interval.shares(n, q, alpha)
    assert 0.0 <= low <= q <= high <= 1.0
    more_low, more_high = quantile_interval.shares(2 * n, q, alpha)
    assert more_high - more_low <= high - low + 1e-12


@given(q=st.floats(0.01, 0.99), t=st.integers(100, 10**6), alpha=alphas)
@settings(max_examples=40)
def test_the_bands_of_all_quantiles_shrink_and_nest(q: float, t: int, alpha: float) -> None:
    stitched = quantile_stitching.bound(q, t, alpha, 100)
    assert quantile_stitching.bound(q, t, alpha / 2, 100) > stitched > 0.0
    assert quantile_stitching.bound(q, 2 * t, alpha, 100) / (2 * t) < stitched / t
    band = quantile_process.lil_radius(t, round(alpha, 2) + 0.01, 100)
    assert quantile_process.lil_radius(2 * t, round(alpha, 2) + 0.01, 100) < band


@given(a=st.integers(0, 5000), b=st.integers(0, 5000), rho=shares, alpha=alphas)
def test_the_count_ratio_holds_its_estimate_and_agrees_with_its_test(
    a: int, b: int, rho: float, alpha: float
) -> None:
    found = count_ratio.compare(a, b, rho, alpha)
    if a + b:
        assert found.low <= found.estimate <= found.high
    assert (not found.low <= 0.0 <= found.high) == (found.log_odds > -math.log(alpha))
    assert found.log_odds == count_ratio.log_bayes_factor(a, b, rho)
