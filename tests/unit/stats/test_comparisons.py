"""The estimators and tests of two arms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import chi2_contingency, ttest_ind

from triune.stats import cuped, fixed_horizon, proportions
from triune.stats.comparison import Comparison, Side
from triune.stats.effect import Arm, Effect, absolute, log_ratio, relative
from triune.stats.ratio_metric import ratio
from triune.stats.sample_size import units
from triune.stats.sequential_effect import sequential
from triune.stats.summary import Summary


def samples(seed: int, n: int, columns: int) -> list[np.ndarray]:
    """Correlated positive columns."""
    draw = np.random.default_rng(seed)
    common = draw.gamma(4.0, 1.0, n)
    return [common + draw.gamma(2.0, 1.0, n) for _ in range(columns)]


def test_welch_is_scipys() -> None:
    a, b = samples(1, 40, 1)[0], 1.3 * samples(2, 25, 1)[0]
    effect = absolute(Arm.of_mean(Summary.of(a)), Arm.of_mean(Summary.of(b)))
    for side, alternative in (
        (Side.BOTH, "two-sided"),
        (Side.GREATER, "greater"),
        (Side.LESS, "less"),
    ):
        theirs = ttest_ind(b, a, equal_var=False, alternative=alternative)
        ours = fixed_horizon.welch(effect, 0.1, side)
        assert ours.p == pytest.approx(theirs.pvalue)
        ends = theirs.confidence_interval(0.9)
        assert (ours.low, ours.high) == pytest.approx((ends.low, ends.high))


def test_a_null_value_shifts_the_test_but_not_the_interval() -> None:
    effect = Effect(2.0, 0.5, 50.0, 60)
    plain, shifted = (fixed_horizon.z_test(effect, 0.05, null=null) for null in (0.0, 2.0))
    assert shifted.p == 1.0
    assert (shifted.low, shifted.high) == (plain.low, plain.high)


def test_chi_square_is_scipys_without_correction() -> None:
    ours = proportions.chi_square((30, 400), (55, 500), 0.05)
    table = [[30, 370], [55, 445]]
    assert ours.p == pytest.approx(chi2_contingency(table, correction=False).pvalue)
    assert proportions.chi_square((0, 10), (0, 10), 0.05).p == 1.0


def test_summaries_add_up_to_that_of_all_units() -> None:
    columns = samples(3, 100, 3)
    parts = [
        Summary.of(*(c[i:j] for c in columns)) for i, j in ((0, 0), (0, 1), (1, 60), (60, 100))
    ]
    whole, together = Summary.of(*columns), parts[0]
    for part in parts[1:]:
        together = together + part
    assert together.n == whole.n
    assert together.mean == pytest.approx(whole.mean)
    assert together.cov == pytest.approx(whole.cov)
    products = [[float(x @ y) for y in columns[i:]] for i, x in enumerate(columns)]
    sums = Summary.from_sums(100, [float(c.sum()) for c in columns], products)
    assert sums.cov == pytest.approx(whole.cov)
    assert whole.columns(2, 0).cov[0, 1] == whole.cov[2, 0]


def test_a_ratios_error_is_the_bootstraps() -> None:
    y, d = samples(4, 400, 2)
    draw = np.random.default_rng(5)
    rows = draw.integers(0, 400, (4000, 400))
    spread = (y[rows].mean(axis=1) / d[rows].mean(axis=1)).std()
    arm = ratio(Summary.of(y, d))
    assert arm.value == pytest.approx(y.mean() / d.mean())
    assert math.sqrt(arm.variance / arm.n) == pytest.approx(spread, rel=0.05)


def test_cuped_leaves_the_noise_that_regression_leaves() -> None:
    y, x = samples(6, 5000, 2)
    both = [Summary.of(y[part], x[part]) for part in (slice(2500), slice(2500, None))]
    control, candidate = cuped.adjusted(*both)
    correlation = np.corrcoef(y, x)[0, 1]
    kept = control.variance / float(both[0].cov[0, 0])
    assert kept == pytest.approx(1 - correlation**2, rel=0.1)
    assert cuped.adjusted(*both, theta=0.0)[0].value == pytest.approx(both[0].mean[0])
    assert (
        absolute(control, candidate).error
        < 0.9 * absolute(*(Arm.of_mean(summary) for summary in both)).error
    )


@pytest.mark.parametrize("columns", [2, 4])
def test_the_relative_error_after_cuped_is_the_simulated_one(columns: int) -> None:
    """theta fixed, so that the delta method is all that is tested."""
    found = []
    for seed in range(1200):
        control, candidate = (
            Summary.of(*samples(seed * 2 + arm + 100, 200, columns)) for arm in (0, 1)
        )
        found.append(relative(*cuped.adjusted(control, candidate, theta=0.5)))
    spread = np.std([effect.value for effect in found])
    assert np.mean([effect.error for effect in found]) == pytest.approx(spread, rel=0.08)


def test_a_covariate_that_does_not_vary_changes_nothing() -> None:
    y = samples(7, 50, 1)[0]
    flat = Summary.of(y, np.ones(50))
    assert cuped.pooled_theta(flat) == 0.0
    assert cuped.averaged_theta(flat, flat) == 0.0
    assert cuped.adjusted(flat, flat)[0].value == pytest.approx(y.mean())


def test_log_and_relative_effects_agree_when_small() -> None:
    arms = Arm(10_000, 10.0, 4.0), Arm(10_000, 10.1, 4.0)
    back = fixed_horizon.percent(fixed_horizon.z_test(log_ratio(*arms), 0.05))
    plain = fixed_horizon.z_test(relative(*arms), 0.05)
    assert back.estimate == pytest.approx(plain.estimate)
    assert (back.low, back.high) == pytest.approx((plain.low, plain.high), abs=2e-5)


def test_a_sequential_interval_is_wider_and_its_p_agrees_with_it() -> None:
    effect = Effect(0.1, 0.03, 1e9, 4000)
    for side in Side:
        fixed = fixed_horizon.z_test(effect, 0.05, side)
        found = sequential(effect, 0.05, 4000, side)
        assert found.low <= fixed.low
        assert found.high >= fixed.high
        assert found.excludes(0.0) == (found.p < 0.05)
    assert sequential(effect, 0.05, 4000, null=0.1).p == 1.0


def test_no_noise_is_either_no_effect_or_a_certain_one() -> None:
    still = Arm(10, 1.0, 0.0)
    assert fixed_horizon.welch(absolute(still, still), 0.05).p == 1.0
    assert fixed_horizon.welch(absolute(still, Arm(10, 2.0, 0.0)), 0.05).p == 0.0
    assert sequential(absolute(still, Arm(10, 0.5, 0.0)), 0.05, 10, Side.LESS).p == 0.0


def test_the_planned_units_give_the_planned_power() -> None:
    draw, runs = np.random.default_rng(30), 2000
    for extra in ({}, {"sequential": True}):
        n = units(0.10, 0.12, share=0.3, **extra)
        candidates = round(0.3 * n)
        hits = 0
        for a, b in zip(
            draw.binomial(n - candidates, 0.10, runs),
            draw.binomial(candidates, 0.12, runs),
            strict=True,
        ):
            control = proportions.proportion(int(a), n - candidates)
            effect = absolute(control, proportions.proportion(int(b), candidates))
            found = sequential(effect, 0.05, n) if extra else fixed_horizon.z_test(effect, 0.05)
            hits += found.low > 0.0
        assert hits / runs == pytest.approx(0.8, abs=0.04)


def test_what_cannot_be_asked_is_refused() -> None:
    one, two = Summary.of([1.0, 2.0]), Summary.of([1.0, -1.0], [1.0, -1.0])
    for wrong in (
        lambda: proportions.proportion(2, 1),
        lambda: proportions.chi_square((0, 0), (1, 2), 0.05),
        lambda: relative(Arm(9, 0.0, 1.0), Arm(9, 1.0, 1.0)),
        lambda: log_ratio(Arm(9, -1.0, 1.0), Arm(9, 1.0, 1.0)),
        lambda: cuped.adjusted(one, one),
        lambda: ratio(two),
        lambda: fixed_horizon.welch(Effect(1.0, 1.0, 9.0, 10), 0.0),
        lambda: sequential(Effect(1.0, 1.0, 9.0, 10), 0.6, 10, Side.LESS),
        lambda: units(0.1, 0.1),
        lambda: units(0.1, 0.2, power=1.0),
    ):
        with pytest.raises(ValueError):
            wrong()


def test_excludes_counts_the_ends_as_inside() -> None:
    assert not Comparison(1.0, 0.0, 2.0, 0.05).excludes(0.0)
