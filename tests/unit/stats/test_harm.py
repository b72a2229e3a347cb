"""The harm kernel: reference values, the weights, the single and the batch form."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
from scipy.special import polygamma
from scipy.stats import hypergeom

from triune.stats import harm
from triune.stats.harm import HarmBatch, HarmState, HarmTest, step
from triune.stats.tick_ratio import Counts, alternative, envelope, log_ratios


def _ratio(n_a: int, n_b: int, k: int, b: int, odds: float) -> float:
    low, trials, share = envelope(n_a, n_b, k)
    return math.exp(log_ratios(b - low, trials, share, [alternative(odds)], 0.0)[0])


@pytest.mark.parametrize(
    ("n_a", "n_b", "k", "odds", "expected"),
    [(900, 100, 5, 2, 0.9992566209989014), (900, 100, 20, 5, 0.8712905587121392)],
    ids=["derived-evalue-900-100-5-2", "derived-evalue-900-100-20-5"],
)
def test_the_mean_ratio_without_harm_is_the_reference_value(
    n_a: int, n_b: int, k: int, odds: float, expected: float
) -> None:
    mean = sum(
        hypergeom.pmf(b, n_a + n_b, n_b, k) * _ratio(n_a, n_b, k, b, odds) for b in range(k + 1)
    )
    assert mean == pytest.approx(expected, abs=1e-9)


def test_one_tick_is_the_formula() -> None:
    """By hand: E = w_1 * (weighted mean of LR(d)) + (1 - w_1)."""
    state = step(HarmTest(), HarmState(), [(900, 100, 9, 4)])
    ratios = [math.exp(4 * math.log(o) - 13 * math.log(0.9 + 0.1 * o)) for o in harm.GRID]
    weights = np.exp(HarmTest().log_weights)
    assert weights.sum() == pytest.approx(1.0)
    assert math.exp(state.log_e) == pytest.approx(0.6 * float(weights @ ratios) + 0.4)
    assert state.p == pytest.approx(min(1.0, math.exp(-state.log_e)))


def test_the_recursion_is_the_sum_over_all_starts() -> None:
    """E by its meaning: one product for every start and odds ratio, weighed and added."""
    draw = np.random.default_rng(1)
    test = HarmTest(planned_ticks=9, margin=0.2)
    ticks = [(int(n), 30, int(a), int(b)) for n, a, b in draw.integers(0, [90, 9, 9], (9, 3))]
    ticks = [(n + 9, m, a, b) for n, m, a, b in ticks]
    state = HarmState()
    for row in ticks:
        state = step(test, state, [row])
    total = 0.0
    for odds, log_weight in zip(test.odds_ratios, test.log_weights, strict=True):
        for start in range(9):
            product = 1.0
            for n_a, n_b, a, b in ticks[start:]:
                rho = n_b / (n_a + n_b)
                base = (1 - rho + rho * odds) / (1 - rho + rho * 1.2)
                product *= (odds / 1.2) ** b * base ** -(a + b)
            total += math.exp(log_weight) * harm.start_weight(9, start + 1) * product
    assert math.exp(state.log_e) == pytest.approx(total)


@pytest.mark.parametrize("planned", [1, 2, 50, 8640])
def test_planned_weights_sum_to_one_and_then_stop(planned: int) -> None:
    weights = [harm.start_weight(planned, tick) for tick in range(1, planned + 3)]
    assert math.fsum(weights) == pytest.approx(1.0)
    assert weights[planned:] == [0.0, 0.0]
    for tick in (1, planned // 2 + 1, planned):
        assert math.fsum(weights[:tick]) + harm.mass_left(planned, tick) == pytest.approx(1.0)


def test_unbounded_weights_are_the_inverse_squares() -> None:
    for tick in (1, 2, 5, 9, 10, 11, 1000, 10**6):
        exact = 2.4 / math.pi**2 * float(polygamma(1, tick))
        assert harm.mass_left(None, tick) == pytest.approx(exact, rel=1e-9)
        assert harm.mass_left(None, tick) <= exact * (1 + 1e-14)
    assert harm.start_weight(None, 3) == pytest.approx(2.4 / (math.pi * 2) ** 2)
    assert harm.start_weight(None, 2) + harm.mass_left(None, 2) == pytest.approx(0.4)


def test_the_grid_follows_margin_and_overdispersion() -> None:
    assert HarmTest(margin=0.3).odds_ratios == (1.5, 2.0, 3.0, 5.0, 10.0, 20.0)
    assert HarmTest(margin=0.25).odds_ratios[0] == 1.5
    assert HarmTest(phi=1.1).odds_ratios == harm.GRID
    assert HarmTest(phi=1.2).odds_ratios[-1] == 5.0


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"margin": -0.1}, "margin"),
        ({"margin": math.nan}, "margin"),
        ({"phi": 0.9}, "phi"),
        ({"phi": math.inf}, "phi"),
        ({"planned_ticks": 0}, "planned_ticks"),
        ({"margin": 19.0}, "no alternative"),
        ({"margin": 4.0, "phi": 2.0}, "no alternative"),
    ],
)
def test_settings_that_make_no_test_are_refused(settings: dict[str, float], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        HarmTest(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("row", [(10, 5, 11, 0), (10, 5, 0, 6), (10, 5, -1, 0), (10, 5, 0, -1)])
def test_impossible_counts_are_refused(row: Counts) -> None:
    with pytest.raises(ValueError, match="impossible counts"):
        step(HarmTest(), HarmState(), [row])


@pytest.mark.parametrize("planned", [None, 3, 8640])
@pytest.mark.parametrize("margin", [0.0, 0.3])
@pytest.mark.parametrize("phi", [1.0, 2.5])
def test_the_batch_form_agrees_with_the_single_one(
    planned: int | None, margin: float, phi: float
) -> None:
    draw = np.random.default_rng(7)
    test = HarmTest(margin=margin, planned_ticks=planned, phi=phi)
    n = draw.integers(0, 40, (6, 4, 3, 2))
    counts = np.concatenate([n, draw.integers(0, n + 1)], axis=-1)
    batch, states = HarmBatch(test, runs=4), [HarmState()] * 4
    for tick in counts:
        log_e = batch.step(tick)
        states = [step(test, state, rows) for state, rows in zip(states, tick, strict=True)]
        assert log_e == pytest.approx([state.log_e for state in states], abs=1e-11)
    assert batch.log_e_max == pytest.approx([state.log_e_max for state in states], abs=1e-11)


def test_harm_from_the_first_tick_and_late_harm_are_dated() -> None:
    test, state = HarmTest(planned_ticks=200), HarmState()
    assert state.onset is None
    for _ in range(100):
        state = step(test, state, [(900, 100, 9, 1)])
    assert state.log_e < math.log(100)
    for _ in range(30):
        state = step(test, state, [(900, 100, 9, 5)])
    assert state.onset == 101
    assert state.p < 0.01


def test_a_state_survives_json() -> None:
    state = step(HarmTest(), HarmState(), [(900, 100, 9, 4)])
    assert msgspec.json.decode(msgspec.json.encode(state), type=HarmState) == state
    assert msgspec.json.decode(msgspec.json.encode(HarmState()), type=HarmState) == HarmState()


def test_nothing_overflows_in_a_catastrophe() -> None:
    test, state = HarmTest(planned_ticks=None), HarmState()
    for _ in range(500):
        state = step(test, state, [(10**6, 10**6, 0, 10**6), (5, 10**9, 0, 10**9)])
    assert math.isfinite(state.log_e)
    assert state.log_e > 1e7
    assert state.p == 0.0
    for _ in range(500):
        state = step(test, state, [(10**6, 10**6, 10**6, 0)])
    assert all(math.isfinite(log) for log in state.log_r)
    spent = HarmTest(planned_ticks=1)
    state = step(spent, HarmState(), [(10**6, 10**6, 10**6, 0)])
    assert state.log_e < -1000.0
    assert HarmBatch(spent, 1).step(np.array([[[10**6, 10**6, 10**6, 0]]]))[0] < -1000.0
