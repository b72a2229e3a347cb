"""The promote side: exact ratios, means at most 1 under harm, and that it clears a good one."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import nchypergeom_fisher

from triune.stats import noharm
from triune.stats.noharm import FRACTIONS, NoHarmState, NoHarmTest, log_ratios, step

margins = st.sampled_from([0.1, 0.5, 2.0])


def _alternatives(margin: float) -> list[float]:
    return [float((1 + margin) ** (1 - fraction)) for fraction in FRACTIONS]


@pytest.mark.parametrize(
    ("n_a", "n_b", "k", "b"),
    [(900, 100, 10, 0), (900, 100, 10, 3), (90, 10, 95, 7), (50, 50, 50, 20), (3, 900, 400, 399)],
)
def test_ratios_are_those_of_scipys_distribution(n_a: int, n_b: int, k: int, b: int) -> None:
    def log_mass(odds: float) -> float:
        return float(nchypergeom_fisher.logpmf(b, n_a + n_b, n_b, k, odds))

    expected = [log_mass(odds) - log_mass(1.5) for odds in _alternatives(0.5)]
    assert log_ratios(0.5, n_a, n_b, k, b) == pytest.approx(expected, abs=1e-6)


@given(st.integers(1, 40), st.integers(1, 40), st.data(), margins, st.floats(1.0, 5.0))
def test_the_mean_ratio_under_harm_is_at_most_one(
    n_a: int, n_b: int, data: st.DataObject, margin: float, worse: float
) -> None:
    k = data.draw(st.integers(0, n_a + n_b))
    odds = (1 + margin) * worse
    support = range(max(0, k - n_a), min(k, n_b) + 1)
    mass = [math.comb(n_b, b) * math.comb(n_a, k - b) * odds**b for b in support]
    total = math.fsum(mass)
    for position in range(len(FRACTIONS)):
        mean = math.fsum(
            chance / total * math.exp(log_ratios(margin, n_a, n_b, k, b)[position])
            for b, chance in zip(support, mass, strict=True)
        )
        assert mean <= 1 + 1e-9
        if worse == 1.0:
            assert mean == pytest.approx(1.0)


@pytest.mark.parametrize("b", [0, 900, 1000, 1100, 2500])
def test_the_window_of_a_wide_support_loses_nothing(b: int) -> None:
    """K in the thousands: the sum over a window equals the sum over the whole support."""
    from scipy.special import gammaln

    n_a, n_b, k = 22_500, 2_500, 10_000
    x = np.arange(0.0, n_b + 1)
    weight = -(gammaln(x + 1) + gammaln(n_b - x + 1))
    weight -= gammaln(k - x + 1) + gammaln(n_a - k + x + 1)

    def log_mass(odds: float) -> float:
        terms = weight + (x - b) * math.log(odds)
        return -float(terms.max() + np.log(np.exp(terms - terms.max()).sum()))

    expected = [log_mass(odds) - log_mass(1.5) for odds in _alternatives(0.5)]
    assert log_ratios(0.5, n_a, n_b, k, b) == pytest.approx(expected, abs=1e-6)


@given(st.integers(1, 99), st.integers(1, 99), st.integers(0, 32), st.data())
def test_few_terms_and_many_give_the_same(n_a: int, n_b: int, k: int, data: st.DataObject) -> None:
    k = min(k, n_a + n_b)
    b = data.draw(st.integers(max(0, k - n_a), min(k, n_b)))
    few, many = noharm._few(0.5, n_a, n_b, k, b), noharm._many(0.5, n_a, n_b, k, b)
    assert few is not None
    assert np.diff(few) == pytest.approx(np.diff(many), abs=1e-9)


def test_an_overflow_of_few_terms_is_left_to_the_logarithms() -> None:
    assert noharm._few(0.5, 32, 10**13, 32, 0) is None
    assert math.isfinite(log_ratios(0.5, 32, 10**13, 32, 0)[0])


def test_a_huge_tick_is_computed_in_a_window() -> None:
    ratios = log_ratios(0.5, 9_000_000, 1_000_000, 1_000_000, 100_000)
    assert all(math.isfinite(ratio) for ratio in ratios)
    assert ratios[1] > 1000


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=4), st.data()
)
def test_fewer_events_of_the_candidate_are_more_evidence(
    sizes: list[tuple[int, int]], data: st.DataObject
) -> None:
    rows = [
        (n_a, n_b, data.draw(st.integers(0, n_a)), data.draw(st.integers(0, n_b)))
        for n_a, n_b in sizes
    ]
    better = [
        (n_a, n_b, a + 1, b - 1) if a < n_a and b > 0 else (n_a, n_b, a, b)
        for n_a, n_b, a, b in rows
    ]
    test = NoHarmTest()
    assert step(test, NoHarmState(), better).log_e >= step(test, NoHarmState(), rows).log_e - 1e-9
    mixed = step(test, NoHarmState(), rows[::-1])
    assert mixed.log_e == pytest.approx(step(test, NoHarmState(), rows).log_e, abs=1e-9)


def test_silence_proves_nothing() -> None:
    state = step(NoHarmTest(), NoHarmState(), [(900, 100, 9, 1)])
    silent = step(NoHarmTest(), state, [(0, 9, 0, 3), (9, 0, 2, 0), (0, 0, 0, 0), (9, 9, 0, 0)])
    assert silent.log_e == state.log_e
    assert silent.ticks == 2


def test_false_clearances_of_a_harmful_candidate_stay_below_alpha() -> None:
    """600 runs of 200 ticks at exactly the margin; alpha 0.1; the bound is three errors wide."""
    draw = np.random.default_rng(11)
    test, alpha, runs, cleared = NoHarmTest(margin=0.5), 0.1, 600, 0
    odds = 0.02 / 0.98 * 1.5
    counts = draw.binomial([60, 40], [0.02, odds / (1 + odds)], (runs, 200, 2)).tolist()
    for run in counts:
        state = NoHarmState()
        for a, b in run:
            state = step(test, state, [(60, 40, a, b)])
        cleared += state.p <= alpha
    assert cleared / runs <= alpha + 3 * math.sqrt(alpha * (1 - alpha) / runs)


def test_a_good_candidate_is_cleared_and_the_state_survives_json() -> None:
    draw = np.random.default_rng(5)
    test, state = NoHarmTest(margin=0.5), NoHarmState()
    for _ in range(400):
        row = (900, 100, int(draw.binomial(900, 0.01)), int(draw.binomial(100, 0.01)))
        state = step(test, state, [row])
    assert state.p < 0.01
    assert msgspec.json.decode(msgspec.json.encode(state), type=NoHarmState) == state


@pytest.mark.parametrize(("margin", "phi"), [(0.0, 1.0), (math.nan, 1.0), (0.5, 0.5)])
def test_settings_that_make_no_test_are_refused(margin: float, phi: float) -> None:
    with pytest.raises(ValueError, match="must be"):
        NoHarmTest(margin=margin, phi=phi)


def test_impossible_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="impossible"):
        step(NoHarmTest(), NoHarmState(), [(5, 5, 6, 0)])
