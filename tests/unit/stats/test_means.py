"""Means and shares with intervals that hold at any time."""

from __future__ import annotations

import math

import numpy as np
import pytest

from triune.stats import asymptotic, bernoulli, empirical_bernstein
from triune.stats.asymptotic import Series
from triune.stats.betting import Betting
from triune.stats.empirical_bernstein import Spread

LOOKS = (5, 20, 60, 200)


def test_the_strict_intervals_hold_a_rare_skewed_mean_at_every_look() -> None:
    runs, missed = 150, {"bernstein": 0, "betting": 0, "bernoulli": 0}
    draw = np.random.default_rng(21)
    for _ in range(runs):
        values = (draw.random(LOOKS[-1]) < 0.1).astype(float)
        state, game, out = Spread(), Betting(0.1, grid=200), set()
        for n, value in enumerate(values, start=1):
            state = state.add(value)
            game.add(value)
            if n not in LOOKS:
                continue
            for name, (low, high) in {
                "bernstein": empirical_bernstein.interval(state, 0.1, v_opt=9.0),
                "betting": game.interval(),
                "bernoulli": bernoulli.interval(state.total, n, 0.1, 100),
            }.items():
                if not low <= 0.1 <= high:
                    out.add(name)
        for name in out:
            missed[name] += 1
    assert all(count / runs <= 0.1 for count in missed.values()), missed


def test_little_variance_makes_the_bounded_intervals_short() -> None:
    steady = Spread.of([0.5, 0.52] * 500)
    wild = Spread.of([0.0, 1.0] * 500)
    low, high = empirical_bernstein.interval(steady, 0.05, v_opt=1.0)
    assert high - low < 0.03
    low, high = empirical_bernstein.interval(wild, 0.05, v_opt=250.0)
    assert 0.05 < high - low < 0.2


def test_before_the_first_value_everything_is_possible() -> None:
    assert empirical_bernstein.interval(Spread(), 0.05, 1.0) == (0.0, 1.0)
    assert empirical_bernstein.lower(Spread(), 0.05, 1.0) == 0.0
    assert Betting(0.05).interval() == (0.0, 1.0)
    assert asymptotic.interval(Series(), 0.05, 10) == (-math.inf, math.inf)


def test_bets_on_impossible_means_are_lost_at_once() -> None:
    game = Betting(0.05)
    game.add(0.5)
    low, high = game.interval()
    assert 0.0 <= low <= 0.5 <= high <= 1.0
    for _ in range(400):
        game.add(1.0)
    assert game.interval()[1] > 0.99


@pytest.mark.parametrize("one_sided", [True, False])
def test_the_p_value_is_alpha_where_the_interval_ends(one_sided: bool) -> None:
    for n in (50, 1000, 40_000):
        r = asymptotic.tuning(0.05, 1000, one_sided=one_sided)
        z = math.sqrt(n) * asymptotic.radius(n, 0.05, r, one_sided=one_sided)
        assert asymptotic.p_value(z, n, r, one_sided=one_sided) == pytest.approx(0.05)


def test_a_huge_z_is_no_overflow() -> None:
    assert asymptotic.p_value(1e6, 1000, 0.1) == 0.0
    assert asymptotic.p_value(1e6, 1000, 0.1, one_sided=True) == 0.0
    assert asymptotic.p_value(0.0, 0, 0.1) == 1.0


def test_the_asymptotic_interval_holds_a_skewed_mean_after_its_burn_in() -> None:
    runs, n = 1500, 1000
    values = np.random.default_rng(22).exponential(1.0, (runs, n))
    counts = np.arange(1, n + 1)
    means = values.cumsum(axis=1) / counts
    spread = np.sqrt(np.maximum((values**2).cumsum(axis=1) / counts - means**2, 0.0))
    r = asymptotic.tuning(0.05, 300)
    half = spread * [asymptotic.radius(k, 0.05, r) for k in counts]
    missed = (np.abs(means - 1.0) > half)[:, 49:].any(axis=1).mean()
    assert missed <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)


def test_a_series_has_the_mean_and_deviation_of_its_values() -> None:
    values = np.random.default_rng(23).normal(1e6, 1.0, 500)
    series = Series()
    for value in values:
        series = series.add(float(value))
    assert series.mean == pytest.approx(values.mean())
    assert series.deviation == pytest.approx(values.std(ddof=1))
    low, high = asymptotic.interval(series, 0.05, 500)
    assert low < asymptotic.lower(series, 0.05, 500) < series.mean < high


def test_what_cannot_be_asked_is_refused() -> None:
    for wrong in (
        lambda: bernoulli.interval(3, 2, 0.05),
        lambda: bernoulli.interval(1, 2, 0.0),
        lambda: Spread().add(1.1),
        lambda: Betting(0.05).add(-0.1),
        lambda: Betting(0.05, grid=1),
        lambda: Betting(1.0),
        lambda: asymptotic.tuning(0.05, 0),
        lambda: asymptotic.tuning(0.5, 10, one_sided=True),
    ):
        with pytest.raises(ValueError):
            wrong()
