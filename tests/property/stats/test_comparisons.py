"""What holds for every comparison of two arms, whatever the numbers."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import false_discovery_control

from triune.stats import group_sequential, multiple, quantile_ab, rank_sum, sample_ratio
from triune.stats.comparison import Side
from triune.stats.cuped import adjusted
from triune.stats.effect import Arm, Effect, absolute, log_ratio, relative
from triune.stats.fixed_horizon import welch, z_test
from triune.stats.sample_size import units
from triune.stats.sequential_effect import sequential
from triune.stats.summary import Summary

ps = st.lists(st.floats(0.0, 1.0), max_size=12)
arms = st.builds(
    Arm, n=st.integers(2, 10**6), value=st.floats(0.1, 100.0), variance=st.floats(0.01, 100.0)
)
effects = st.builds(
    Effect,
    value=st.floats(-10.0, 10.0),
    error=st.floats(0.001, 10.0),
    dof=st.floats(1.0, 1e6),
    n=st.integers(2, 10**6),
)


@given(ps=ps)
def test_adjusted_p_values_are_no_smaller_and_keep_their_order(ps: list[float]) -> None:
    holm, bh = multiple.holm(ps), multiple.benjamini_hochberg(ps)
    assert all(p <= slack + 1e-12 for p, slack in zip(ps, bh, strict=True))
    assert all(b <= h + 1e-12 for b, h in zip(bh, holm, strict=True))
    assert all(0.0 <= p <= 1.0 for p in holm)
    for adjusted_ps in (holm, bh):
        in_order = [adjusted_ps[i] for i in np.argsort(ps, kind="stable")]
        assert in_order == sorted(in_order)
    if ps:
        assert np.allclose(bh, false_discovery_control(ps))
        assert min(holm) == min(1.0, min(ps) * len(ps))


@given(effect=effects, alpha=st.floats(0.001, 0.4), n_star=st.floats(10, 1e6))
def test_intervals_hold_the_estimate_and_nest(effect: Effect, alpha: float, n_star: float) -> None:
    for side in Side:
        for test in (welch, z_test):
            inner, outer = test(effect, alpha, side), test(effect, alpha / 2, side)
            assert outer.low <= inner.low <= inner.estimate <= inner.high <= outer.high
            assert 0.0 <= inner.p <= 1.0
        # Not nested in alpha: another alpha is another tuning. For a fixed tuning they nest.
        anytime = sequential(effect, alpha, n_star, side)
        assert anytime.low < anytime.estimate < anytime.high
        assert 0.0 <= anytime.p <= 1.0


@given(effect=effects, alpha=st.floats(0.001, 0.4), n_star=st.floats(10, 1e6))
def test_p_is_below_alpha_where_the_interval_leaves_zero_out(
    effect: Effect, alpha: float, n_star: float
) -> None:
    for side in Side:
        for found in (welch(effect, alpha, side), sequential(effect, alpha, n_star, side)):
            if not math.isclose(found.p, alpha, rel_tol=1e-9):
                assert found.excludes(0.0) == (found.p < alpha)


@given(effect=effects, alpha=st.floats(0.001, 0.2), n_star=st.floats(10, 1e6))
def test_looking_at_any_time_is_never_tighter(effect: Effect, alpha: float, n_star: float) -> None:
    once, anytime = z_test(effect, alpha), sequential(effect, alpha, n_star)
    assert anytime.low < once.low
    assert anytime.high > once.high
    assert anytime.p >= once.p - 1e-12


@given(a=arms, b=arms)
def test_effects_change_sign_or_scale_with_the_arms(a: Arm, b: Arm) -> None:
    there, back = absolute(a, b), absolute(b, a)
    assert there.value == -back.value
    assert math.isclose(there.error, back.error)
    assert math.isclose(there.dof, back.dof)
    assert math.isclose(log_ratio(a, b).value, -log_ratio(b, a).value, abs_tol=1e-9)
    scaled = [Arm(arm.n, 7.0 * arm.value, 49.0 * arm.variance) for arm in (a, b)]
    assert math.isclose(relative(*scaled).value, relative(a, b).value, abs_tol=1e-9)
    assert math.isclose(relative(*scaled).error, relative(a, b).error)


@given(seed=st.integers(0, 10**6), theta=st.floats(-2, 2), columns=st.sampled_from([2, 4]))
@settings(max_examples=40)
def test_the_pooled_theta_is_the_quietest(seed: int, theta: float, columns: int) -> None:
    """No other theta leaves the same units a smaller variance."""
    draw = np.random.default_rng(seed)
    rows = draw.gamma(4.0, 1.0, (columns, 60)) + draw.gamma(2.0, 1.0, 60)
    both = Summary.of(*rows)
    best, other = (adjusted(both, both, one)[0].variance for one in (None, theta))
    assert best <= other * (1 + 1e-9)


@given(
    x=st.lists(st.integers(-20, 20), min_size=2, max_size=25),
    y=st.lists(st.integers(-20, 20), min_size=2, max_size=25),
    shift=st.integers(-5, 5),
)
def test_the_rank_estimate_moves_with_the_data(x: list[int], y: list[int], shift: int) -> None:
    assume(len({*x, *y}) > 1)
    assume(len({*(value + shift for value in x), *y}) > 1)
    found, moved = rank_sum.compare(x, y), rank_sum.compare([v + shift for v in x], y)
    assert found.low <= found.estimate <= found.high
    assert (moved.low, moved.estimate, moved.high) == (
        found.low + shift,
        found.estimate + shift,
        found.high + shift,
    )
    swapped = rank_sum.compare(y, x)
    assert math.isclose(swapped.p, found.p)
    assert swapped.estimate == -found.estimate


@given(counts=st.lists(st.integers(0, 10**5), min_size=2, max_size=5))
def test_sample_ratio_does_not_depend_on_the_order_of_the_arms(counts: list[int]) -> None:
    shares = [float(i + 1) for i in range(len(counts))]
    there = sample_ratio.log_bayes_factor(counts, shares)
    back = sample_ratio.log_bayes_factor(counts[::-1], shares[::-1])
    assert math.isclose(there, back, rel_tol=1e-6, abs_tol=1e-4)
    assert 0.0 <= sample_ratio.chi_square(counts, shares) <= 1.0


@given(
    cuts=st.lists(st.integers(1, 20), min_size=1, max_size=6, unique=True),
    alpha=st.floats(0.005, 0.2),
)
@settings(max_examples=25)
def test_planned_bounds_are_wider_than_the_fixed_one_and_rise_with_certainty(
    cuts: list[int], alpha: float
) -> None:
    fractions = [cut / max(cuts) for cut in sorted(cuts)]
    loose, tight = (group_sequential.bounds(fractions, a) for a in (alpha, alpha / 2))
    assert all(high > low for high, low in zip(tight, loose, strict=True))
    fixed = group_sequential.bounds([1.0], alpha)[0]
    assert loose[-1] >= fixed - 1e-9
    # A bound never changes when later looks are planned.
    assert np.allclose(group_sequential.bounds(fractions[:1], alpha), loose[:1])


@given(
    a=st.lists(st.integers(0, 50), min_size=1, max_size=80),
    b=st.lists(st.integers(0, 50), min_size=1, max_size=80),
    q=st.floats(0.05, 0.95),
)
@settings(max_examples=50)
def test_the_quantile_test_is_symmetric_and_blind_to_units(
    a: list[int], b: list[int], q: float
) -> None:
    p = quantile_ab.p_value(a, b, q, 50)
    assert 0.0 < p <= 1.0
    assert math.isclose(quantile_ab.p_value(b, a, q, 50), p)
    scaled = quantile_ab.p_value(np.exp(np.array(a) / 9), np.exp(np.array(b) / 9), q, 50)
    assert math.isclose(scaled, p)
    assert quantile_ab.p_value(a, a, q, 50) == 1.0


@given(p0=st.floats(0.05, 0.5), rise=st.floats(0.01, 0.2), share=st.floats(0.05, 0.95))
def test_smaller_effects_and_free_looking_need_more_units(
    p0: float, rise: float, share: float
) -> None:
    needed = units(p0, p0 + rise, share=share)
    assert units(p0, p0 + rise, share=share, sequential=True) > needed
    assert units(p0, p0 + rise / 2, share=share) > needed
    assert units(p0, p0 + rise, share=share, power=0.9) >= needed
