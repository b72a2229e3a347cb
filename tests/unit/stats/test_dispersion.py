"""The dispersion of a split stable arm."""

from __future__ import annotations

import numpy as np
import pytest

from triune.stats.dispersion import Dispersion, eta, phi


def test_independent_events_have_no_overdispersion() -> None:
    draw = np.random.default_rng(2)
    k = draw.poisson(9, 3000)
    found = phi(draw.binomial(k, 0.3), k, 0.3)
    assert found.phi == pytest.approx(1.0, abs=0.1)
    assert found.ticks == int((k > 0).sum())


def test_clusters_of_three_have_a_phi_of_three() -> None:
    draw = np.random.default_rng(2)
    k = draw.poisson(5, 3000)
    assert phi(3 * draw.binomial(k, 0.5), 3 * k, 0.5).phi == pytest.approx(3.0, abs=0.3)


def test_common_events_need_the_number_of_requests() -> None:
    """Half of the requests lie above the median: the plain variance would be twice too large."""
    draw = np.random.default_rng(2)
    k1 = draw.hypergeometric(30, 70, 50, 3000)
    assert phi(2 * k1, 100, 0.3, n=200).phi > 1.9
    assert phi(k1, 50, 0.3, n=100).phi == pytest.approx(1.0, abs=0.1)


def test_ticks_that_cannot_scatter_are_skipped() -> None:
    assert phi([0, 1, 2, 2], [0, 2, 2, 2], [0.5, 0.5, 0.0, 1.0]) == Dispersion(1.0, 1)
    assert phi([2], [4], 0.5, n=[4]) == Dispersion(1.0, 0)
    assert phi([], [], []) == Dispersion(1.0, 0)


def test_eta_falls_from_one_and_stays_below_the_inverse() -> None:
    assert eta(1.0) == 1.0
    assert all(eta(phi) < 1.0 / phi for phi in (1.01, 1.5, 3.0, 50.0))
