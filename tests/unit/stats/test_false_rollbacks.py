"""Does the kernel cry wolf? Simulated rollouts without harm, with fixed seeds.

The whole table is ``bench/canary_simulation.py``. Bound: alpha and three standard errors of the
share of false rollbacks.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from triune.stats.dispersion import eta, phi
from triune.stats.harm import HarmBatch, HarmTest

ALPHA = 0.01


def _bound(runs: int) -> float:
    return ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / runs)


def _counts(
    draw: np.random.Generator, runs: int, requests: float, share: float, rate: float, cluster: int
) -> np.ndarray:
    """One tick of ``runs`` runs: (runs, 1, 4)."""
    total = draw.poisson(requests, runs)
    n_b = draw.binomial(total, share)
    n_a = total - n_b
    a, b = (np.minimum(n, cluster * draw.binomial(n, rate / cluster)) for n in (n_a, n_b))
    return np.stack([n_a, n_b, a, b], axis=-1)[:, None]


@pytest.mark.parametrize(
    ("requests", "share", "rate"),
    [(25.0, 0.5, 0.05), (25.0, 0.1, 0.2), (5000.0, 0.1, 0.01), (5000.0, 0.5, 0.001)],
    ids=["5 a minute", "5 a minute, few to the candidate", "500 a second", "rare errors"],
)
def test_a_thousand_rollouts_of_twenty_looks(requests: float, share: float, rate: float) -> None:
    """20 looks of 5 minutes at 5 requests a minute, of 10 seconds at 500 a second."""
    draw = np.random.default_rng(20)
    batch = HarmBatch(HarmTest(planned_ticks=20), runs=1000)
    for _ in range(20):
        batch.step(_counts(draw, 1000, requests, share, rate, cluster=1))
    assert float((batch.log_e_max >= -math.log(ALPHA)).mean()) <= _bound(1000)


def test_clusters_of_three_with_an_estimated_phi() -> None:
    """Four hours of 100 requests a second; phi from two hours of stable alone, split in halves."""
    draw, runs = np.random.default_rng(21), 300
    parts = 3 * draw.binomial(450, 0.01 / 3, (runs, 720, 2))
    found = [phi(part[:, 0], part.sum(axis=1), 0.5).phi for part in parts]
    assert np.mean(found) == pytest.approx(3.0, abs=0.1)
    etas = np.array([eta(value) for value in found])
    batch = HarmBatch(HarmTest(phi=3.0), runs, etas=etas)
    naive = HarmBatch(HarmTest(), runs)
    for _ in range(1440):
        counts = _counts(draw, runs, 1000.0, 0.1, 0.01, cluster=3)
        batch.step(counts)
        naive.step(counts)
    assert float((batch.log_e_max >= -math.log(ALPHA)).mean()) <= _bound(runs)
    # What the tempering is for: events counted as independent would cry wolf.
    assert float((naive.log_e_max >= -math.log(ALPHA)).mean()) > 0.2
