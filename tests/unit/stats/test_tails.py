"""Pooled tails: what is counted, whole-bin moves, and that no harm looks like no harm."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import hypergeom

from triune.stats.tails import Tail, all_tail_counts, batch_tail_counts, quantile_of, tail_counts

EDGES = np.array([m * 10.0**e for e in range(4) for m in range(10, 100)])


def _histogram(values: np.ndarray) -> np.ndarray:
    at = np.maximum(np.searchsorted(EDGES, values, side="right") - 1, 0)
    return np.bincount(at, minlength=len(EDGES))


def test_the_threshold_is_the_edge_nearest_the_pooled_quantile() -> None:
    edges = [1.0, 2.0, 3.0, 4.0]
    tail = tail_counts(edges, [80, 0, 8, 2], [8, 0, 2, 0], 0.9)
    assert tail == Tail(threshold=3.0, n_a=90, n_b=10, a=10, b=2)
    assert tail.counts == (90, 10, 10, 2)
    assert tail_counts(edges, [80, 0, 8, 2], [8, 0, 2, 0], 0.99).threshold == 4.0


def test_few_requests_still_split() -> None:
    """The 99th percentile of three requests is their slowest."""
    assert tail_counts([1.0, 2.0, 3.0], [1, 1, 0], [0, 0, 1], 0.99)[1:] == (2, 1, 0, 1)


@pytest.mark.parametrize(("a", "b"), [([0, 0], [0, 0]), ([5, 0], [3, 0]), ([0, 5], [0, 3])])
def test_where_nothing_can_be_split_the_counts_say_nothing(a: list[int], b: list[int]) -> None:
    tail = tail_counts([1.0, 2.0], a, b, 0.5)
    assert tail.a in (0, tail.n_a)
    assert tail.b in (0, tail.n_b)


def test_the_candidate_is_moved_down_by_whole_bins() -> None:
    """A bin counts as above x only when all of it is after the move."""
    edges = [100.0, 105.0, 110.25, 120.0]
    tail = tail_counts(edges, [8, 0, 0, 1], [0, 0, 1, 0], 0.5, margin=0.05, threshold=105.0)
    assert tail.b == 1  # 110.25 / 1.05 is 105 exactly
    tail = tail_counts(edges, [8, 0, 0, 1], [0, 0, 1, 0], 0.5, margin=0.06, threshold=105.0)
    assert tail.b == 0
    tail = tail_counts(edges, [8, 0, 0, 1], [0, 0, 0, 1], 0.5, margin=0.01, floor=20.0)
    assert tail == Tail(threshold=120.0, n_a=9, n_b=1, a=1, b=0)  # 120 - 20 is the lowest bin


def test_an_infinite_edge_is_above_every_tolerance() -> None:
    tail = tail_counts([10.0, 20.0, math.inf], [90, 8, 2], [0, 5, 5], 0.87, margin=1.0, floor=5.0)
    assert tail == Tail(threshold=20.0, n_a=100, n_b=10, a=10, b=5)
    assert tail_counts([10.0, math.inf], [9, 0], [0, 1], 0.9, margin=1.0).counts == (9, 1, 0, 1)


def test_the_batch_form_agrees_with_the_single_one() -> None:
    draw = np.random.default_rng(9)
    edges = np.array([100.0, 105.0, 111.0, 150.0, 200.0, 300.0])
    a, b = draw.poisson(1.5, (2, 300, 6))
    for margin, floor in ((0.0, 0.0), (0.05, 0.0), (0.4, 60.0)):
        settings = {"margin": margin, "floor": floor}
        found = batch_tail_counts(edges, a, b, (0.5, 0.9), **settings)
        for run in range(300):
            tails = all_tail_counts(edges, a[run], b[run], (0.5, 0.9), **settings)
            assert found[run].tolist() == [list(tail.counts) for tail in tails]


def test_a_fixed_threshold_is_used_as_it_is() -> None:
    assert tail_counts([1.0, 2.0], [3, 4], [5, 6], 0.5, threshold=2.0) == (2.0, 7, 11, 4, 6)
    assert tail_counts([1.0, 2.0], [3, 4], [5, 6], 0.5, threshold=9.0) == (9.0, 7, 11, 0, 0)


def test_negative_tolerances_are_refused() -> None:
    with pytest.raises(ValueError, match="margin and floor"):
        tail_counts([1.0], [1], [1], 0.5, margin=-0.1)


histograms = st.lists(st.integers(0, 20), min_size=5, max_size=5)


@given(histograms, histograms, st.floats(0.0, 1.0), st.floats(0.0, 3.0), st.floats(0.0, 300.0))
def test_counts_are_possible_and_a_tolerance_never_adds_events(
    a: list[int], b: list[int], quantile: float, margin: float, floor: float
) -> None:
    edges = [100.0, 150.0, 200.0, 300.0, 500.0]
    tail = tail_counts(edges, a, b, quantile, margin=margin, floor=floor)
    assert (tail.n_a, tail.n_b) == (sum(a), sum(b))
    assert 0 <= tail.a <= tail.n_a
    assert 0 <= tail.b <= tail.n_b
    both = all_tail_counts(edges, a, b, (0.1, quantile), margin=margin, floor=floor)
    assert both[1] == tail
    strict = tail_counts(edges, a, b, quantile, threshold=tail.threshold)
    assert tail.b <= strict.b
    assert tail.a == strict.a


@pytest.mark.parametrize("quantile", [0.5, 0.9, 0.99])
@pytest.mark.parametrize("name", ["lognormal", "two values", "one bin and a tail"])
@pytest.mark.parametrize("speed", [1.0, 0.8])
def test_without_harm_the_candidates_count_is_hypergeometric_or_smaller(
    quantile: float, name: str, speed: float
) -> None:
    """z of the sum of b against its conditional means: near 0 when equal, below when faster."""
    draw = np.random.default_rng(hash_of(name, quantile, speed))
    score, spread, scatter = 0.0, 0.0, 0.0
    ticks = 1500
    for _ in range(ticks):
        values = _sample(draw, name, 400)
        values[:80] *= speed
        tail = tail_counts(EDGES, _histogram(values[80:]), _histogram(values[:80]), quantile)
        law = hypergeom(tail.n_a + tail.n_b, tail.n_b, tail.a + tail.b)
        mean, variance = (float(moment) for moment in law.stats("mv"))
        score += tail.b - mean
        spread += variance
        scatter += (tail.b - mean) ** 2
    if speed < 1.0:
        assert score / math.sqrt(spread) < 3.5
        return
    assert abs(score) / math.sqrt(spread) < 3.5
    assert scatter / spread == pytest.approx(1.0, abs=5 * math.sqrt(2 / ticks))


def hash_of(*parts: object) -> int:
    return sum(ord(letter) * (i + 1) for i, letter in enumerate(repr(parts)))


def _sample(draw: np.random.Generator, name: str, n: int) -> np.ndarray:
    if name == "two values":
        return draw.choice([20.0, 300.0], n, p=[0.93, 0.07])
    if name == "one bin and a tail":
        return np.where(draw.random(n) < 0.8, 50.0, 50.0 + draw.exponential(400.0, n))
    return draw.lognormal(4.0, 0.7, n)


def test_quantiles_of_a_histogram() -> None:
    values = np.random.default_rng(3).lognormal(5.0, 0.5, 4001)
    for q in (0.0, 0.5, 0.9, 0.99, 1.0):
        exact = float(np.quantile(values, q, method="inverted_cdf"))
        found = quantile_of(EDGES, _histogram(values), q)
        assert found <= exact < found * 1.1 + 1e-9
    assert math.isnan(quantile_of(EDGES, np.zeros(len(EDGES)), 0.5))
    assert math.isnan(quantile_of([], [], 0.5))
