"""The uniform boundaries: they sit where the mixtures say, and walks stay below them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from triune.stats import (
    beta_binomial,
    gamma_exponential,
    gamma_poisson,
    normal_mixture,
    stitching,
)
from triune.stats.mixture_bound import crossing

RUNS, STEPS = 2000, 400
TIMES = np.arange(1, STEPS + 1)


@pytest.mark.parametrize("v", [0.5, 10.0, 1000.0])
def test_the_mixture_is_one_over_alpha_at_its_bound(v: float) -> None:
    level = pytest.approx(math.log(20))
    for one_sided in (True, False):
        s = normal_mixture.bound(v, 0.05, 50.0, one_sided=one_sided)
        assert normal_mixture.log_mixture(s, v, 50.0, one_sided=one_sided) == level
    assert gamma_exponential.log_mixture(gamma_exponential.bound(v, 0.05, 50, 2), v, 50, 2) == level
    assert gamma_poisson.log_mixture(gamma_poisson.bound(v, 0.05, 50, 2), v, 50, 2) == level


@pytest.mark.parametrize("one_sided", [True, False])
def test_the_beta_binomial_bound_is_at_most_the_largest_sum(one_sided: bool) -> None:
    s = beta_binomial.bound(100.0, 0.05, 50.0, 0.3, 0.7, one_sided=one_sided)
    got = beta_binomial.log_mixture(s, 100.0, 50.0, 0.3, 0.7, one_sided=one_sided)
    assert got == pytest.approx(math.log(20))
    assert beta_binomial.bound(0.21, 0.05, 50.0, 0.3, 0.7, one_sided=one_sided) == 0.21 / 0.3


def test_every_mixture_starts_at_one() -> None:
    assert normal_mixture.log_mixture(0.0, 0.0, 9.0) == pytest.approx(0.0)
    assert normal_mixture.log_mixture(0.0, 0.0, 9.0, one_sided=False) == pytest.approx(0.0)
    assert gamma_exponential.log_mixture(0.0, 0.0, 9.0, 1.0) == pytest.approx(0.0)
    assert gamma_poisson.log_mixture(0.0, 0.0, 9.0, 1.0) == pytest.approx(0.0)
    assert beta_binomial.log_mixture(0.0, 0.0, 9.0, 0.2, 0.8) == pytest.approx(0.0)


def test_normal_walks_cross_a_two_sided_bound_in_at_most_alpha() -> None:
    walks = np.random.default_rng(3).normal(size=(RUNS, STEPS)).cumsum(axis=1)
    bounds = [normal_mixture.bound(t, 0.05, 100, one_sided=False) for t in TIMES]
    crossed = (np.abs(walks) >= bounds).any(axis=1).mean()
    assert 0.005 < crossed <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / RUNS)


def test_poisson_walks_cross_their_bounds_in_at_most_alpha() -> None:
    walks = (np.random.default_rng(4).poisson(0.2, (RUNS, STEPS)) - 0.2).cumsum(axis=1)
    for bounds in (
        [gamma_poisson.bound(0.2 * t, 0.05, 20, 1) for t in TIMES],
        # Poisson noise of scale 1 is also sub-gamma with the scale 1/3.
        [stitching.bound(0.2 * t, 0.05, 4, 1 / 3) for t in TIMES],
    ):
        crossed = (walks >= bounds).any(axis=1).mean()
        assert 0.0 < crossed <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / RUNS)


def test_gamma_exponential_walks_cross_their_bound_in_at_most_alpha() -> None:
    # Exponential variables minus their mean: psi(l) = -ln(1 - l) - l, the scale is 1.
    walks = (np.random.default_rng(5).exponential(1.0, (RUNS, STEPS)) - 1.0).cumsum(axis=1)
    bounds = [gamma_exponential.bound(t, 0.05, 100, 1) for t in TIMES]
    crossed = (walks >= bounds).any(axis=1).mean()
    assert 0.005 < crossed <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / RUNS)


def test_what_cannot_be_asked_is_refused() -> None:
    for wrong in (
        lambda: normal_mixture.bound(1.0, 1.0, 1.0),
        lambda: normal_mixture.bound(1.0, 0.05, 0.0),
        lambda: normal_mixture.tuned_rho(1.0, 0.5),
        lambda: gamma_exponential.log_mixture(1.0, 1.0, 1.0, 0.0),
        lambda: gamma_poisson.log_mixture(1.0, 1.0, 1.0, -1.0),
        lambda: beta_binomial.log_mixture(0.0, 1.0, 1.0, 0.0, 1.0),
        lambda: stitching.bound(1.0, 0.05, 0.0),
        lambda: crossing(lambda _: 0.0, 1.0, start=1.0),
    ):
        with pytest.raises(ValueError):
            wrong()


def test_far_below_zero_the_gamma_mixtures_say_nothing() -> None:
    assert gamma_exponential.log_mixture(-990.0, 1000.0, 50.0, 1.0) == -math.inf
    assert gamma_poisson.log_mixture(-900.0, 1000.0, 50.0, 1.0) < 0.0
