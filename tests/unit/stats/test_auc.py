"""The area under the ROC curve and its interval."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triune.stats.auc import area

pairs = st.lists(st.tuples(st.integers(0, 6), st.booleans()), max_size=40)


@given(pairs)
def test_it_is_the_share_of_pairs_in_the_right_order(rows: list[tuple[int, bool]]) -> None:
    above = [score for score, positive in rows if positive]
    below = [score for score, positive in rows if not positive]
    found = area([float(score) for score, _ in rows], [positive for _, positive in rows])
    if not above or not below:
        assert found is None
        return
    wins = sum((a > b) + 0.5 * (a == b) for a in above for b in below)
    assert found is not None
    assert found.value == pytest.approx(wins / (len(above) * len(below)))
    if found.low is not None and found.high is not None:
        assert 0.0 <= found.low <= found.value <= found.high <= 1.0


def test_delongs_standard_error_agrees_with_the_definition() -> None:
    """The variance by its definition over placements, on the logit scale."""
    from math import exp, log
    from statistics import variance

    draw = random.Random(4)
    above = [draw.gauss(0.8, 1) for _ in range(40)]
    below = [draw.gauss(0.0, 1) for _ in range(60)]
    wins = [sum((a > b) + 0.5 * (a == b) for b in below) / len(below) for a in above]
    losses = [sum((a > b) + 0.5 * (a == b) for a in above) / len(above) for b in below]
    value = sum(wins) / len(wins)
    error = (variance(wins) / len(wins) + variance(losses) / len(losses)) ** 0.5
    reach = 1.959963985 * error / (value * (1 - value))
    expected = [1 / (1 + exp(-(log(value / (1 - value)) + side * reach))) for side in (-1, 1)]

    found = area([*above, *below], [True] * 40 + [False] * 60)
    assert found is not None
    assert [found.low, found.high] == pytest.approx(expected)
    assert found.n == 100


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    """Two normal scores one apart: the true area is Phi(1 / sqrt 2) = 0.7602."""
    draw, inside, rounds = random.Random(11), 0, 400
    for _ in range(rounds):
        scores = [draw.gauss(1, 1) for _ in range(60)] + [draw.gauss(0, 1) for _ in range(60)]
        found = area(scores, [True] * 60 + [False] * 60)
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        inside += found.low <= 0.7602 <= found.high
    assert 0.92 <= inside / rounds <= 0.98


def test_with_too_few_there_is_no_interval() -> None:
    found = area([0.9, 0.1, 0.2], [True, False, False])
    assert found is not None
    assert (found.value, found.low, found.high) == (1.0, None, None)
