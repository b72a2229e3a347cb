"""What must hold of the harm kernel for all counts: above all, that its mean is at most 1."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triune.stats.harm import HarmState, HarmTest, step
from triune.stats.tick_ratio import Counts, alternative, envelope, log_ratios

sizes = st.integers(0, 60)
margins = st.sampled_from([0.0, 0.05, 0.5, 2.0])


@st.composite
def rows(draw: st.DrawFn) -> Counts:
    n_a, n_b = draw(sizes), draw(sizes)
    return n_a, n_b, draw(st.integers(0, n_a)), draw(st.integers(0, n_b))


ticks = st.lists(st.lists(rows(), max_size=3), min_size=1, max_size=8)


def run(test: HarmTest, data: list[list[Counts]]) -> HarmState:
    state = HarmState()
    for counts in data:
        state = step(test, state, counts)
    return state


def noncentral(n_a: int, n_b: int, k: int, odds: float) -> dict[int, float]:
    """Fisher's noncentral hypergeometric distribution of b, by its definition."""
    support = range(max(0, k - n_a), min(k, n_b) + 1)
    mass = {b: math.comb(n_b, b) * math.comb(n_a, k - b) * odds**b for b in support}
    total = math.fsum(mass.values())
    return {b: value / total for b, value in mass.items()}


@given(
    n_a=sizes,
    n_b=sizes,
    data=st.data(),
    margin=margins,
    factor=st.floats(1.01, 30.0),
    harmless=st.floats(0.05, 1.0),
    eta=st.sampled_from([1.0, 0.5, 0.2]),
)
def test_the_mean_of_a_tick_is_at_most_one_without_harm(
    n_a: int,
    n_b: int,
    data: st.DataObject,
    margin: float,
    factor: float,
    harmless: float,
    eta: float,
) -> None:
    """Exactly, by summing over every outcome; for each odds ratio up to the tolerated one."""
    k = data.draw(st.integers(0, n_a + n_b))
    odds = (1 + margin) * factor
    low, trials, share = envelope(n_a, n_b, k)
    mean = 0.0
    for b, chance in noncentral(n_a, n_b, k, harmless * (1 + margin)).items():
        log = log_ratios(b - low, trials, share, [alternative(odds, margin)], margin)[0]
        mean += chance * math.exp(eta * log)
    assert mean <= 1 + 1e-9


@given(ticks, margins, st.randoms(use_true_random=False))
def test_the_order_of_the_strata_does_not_matter(
    data: list[list[Counts]], margin: float, random: object
) -> None:
    test = HarmTest(margin=margin, planned_ticks=5)
    mixed = [list(counts) for counts in data]
    for counts in mixed:
        random.shuffle(counts)  # type: ignore[attr-defined]
    assert run(test, mixed).log_e == pytest.approx(run(test, data).log_e, abs=1e-9)


@given(ticks, margins, st.sampled_from([None, 1, 4, 100]))
def test_a_candidate_without_events_never_raises_e_above_one(
    data: list[list[Counts]], margin: float, planned: int | None
) -> None:
    spotless = [[(n_a, n_b, a, 0) for n_a, n_b, a, _ in counts] for counts in data]
    assert run(HarmTest(margin=margin, planned_ticks=planned), spotless).log_e <= 1e-12


@given(ticks, st.integers(0, 8), st.sampled_from([None, 1, 4, 100]))
def test_ticks_without_information_leave_e_as_it_is(
    data: list[list[Counts]], silent: int, planned: int | None
) -> None:
    test = HarmTest(planned_ticks=planned)
    before = run(test, data)
    after = before
    for _ in range(silent):
        after = step(test, after, [(0, 9, 0, 3), (9, 0, 2, 0), (0, 0, 0, 0), (9, 9, 0, 0)])
    assert after.log_e == before.log_e
    assert after.log_e_max == before.log_e_max
    assert after.ticks == before.ticks + silent


@given(ticks)
def test_silence_changes_no_sum(data: list[list[Counts]]) -> None:
    """What a silent tick moves from "not started" into R is what R gains."""
    test = HarmTest(planned_ticks=20)
    state = run(test, data)
    silent = step(test, state, [])
    held = math.fsum(
        math.exp(weight + log) for weight, log in zip(test.log_weights, silent.log_r, strict=True)
    )
    left = 0.4 * (20 - silent.ticks) / 19
    assert math.log(held + left) == pytest.approx(state.log_e, abs=1e-9)


@given(rows(), st.floats(1.01, 30.0))
def test_both_directions_cannot_win(row: Counts, odds: float) -> None:
    """The ratio for harm and the ratio for harm with the arms swapped multiply to at most 1."""
    n_a, n_b, a, b = row
    total = 0.0
    for first, second, events in ((n_a, n_b, b), (n_b, n_a, a)):
        low, trials, share = envelope(first, second, a + b)
        total += log_ratios(events - low, trials, share, [alternative(odds)], 0.0)[0]
    assert total <= 1e-9


@given(rows(), margins)
def test_one_more_event_of_the_candidate_instead_of_stable_is_more_evidence(
    row: Counts, margin: float
) -> None:
    n_a, n_b, a, b = row
    if a == 0 or b == n_b:
        return
    test = HarmTest(margin=margin)
    worse = run(test, [[(n_a, n_b, a - 1, b + 1)]])
    assert worse.log_e >= run(test, [[row]]).log_e - 1e-12


@given(ticks)
def test_p_is_the_running_extreme(data: list[list[Counts]]) -> None:
    test, state, least = HarmTest(), HarmState(), 1.0
    for counts in data:
        state = step(test, state, counts)
        least = min(least, math.exp(-state.log_e))
        assert state.p == pytest.approx(least)
        assert state.p <= 1.0
