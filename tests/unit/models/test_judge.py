"""Judging a run done again."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triune.models.reproduce import Judgement, Outcome, Verdict, judge

HISTORY = {"auc": ((0, 0.5), (1, 0.7)), "loss": ((0, float("nan")), (1, math.inf))}
ANSWERS = [[0.25, 0.75], [0.5, 0.5]]
FILES = {"model.pkl": "sha256:1"}


def compared(
    history: dict[str, tuple[tuple[int, float], ...]] | None = None,
    answers: object = ANSWERS,
    files: dict[str, str] | None = None,
    *,
    tolerance: float = 0.0,
) -> Judgement:
    before = Outcome(HISTORY, ANSWERS, FILES)
    now = Outcome(HISTORY if history is None else history, answers, files or FILES)
    return judge(before, now, tolerance=tolerance)


def test_equal_bits_are_identical_not_a_number_included() -> None:
    judgement = compared()
    assert judgement.verdict is Verdict.IDENTICAL
    assert judgement.findings == ()
    assert judgement.compared == (
        "4 values of 2 metrics, bit for bit",
        "4 values the model answers to its example, bit for bit",
        "1 files of the model by digest",
    )


@pytest.mark.parametrize(
    ("value", "tolerance", "verdict"),
    [
        (math.nextafter(0.7, 1), 0.0, Verdict.DIFFERENT),
        (math.nextafter(0.7, 1), 1e-12, Verdict.WITHIN_TOLERANCE),
        (0.7001, 1e-3, Verdict.WITHIN_TOLERANCE),
        (0.71, 1e-3, Verdict.DIFFERENT),
        (float("nan"), 1e9, Verdict.DIFFERENT),
        (math.inf, 1e9, Verdict.DIFFERENT),
    ],
)
def test_one_value_decides(value: float, tolerance: float, verdict: Verdict) -> None:
    judgement = compared({**HISTORY, "auc": ((0, 0.5), (1, value))}, tolerance=tolerance)
    assert judgement.verdict is verdict
    (finding,) = judgement.findings
    assert finding.where == "metric auc"
    assert "1 of 2 values differ, most at step 1" in finding.what


@pytest.mark.parametrize(
    "history",
    [
        {"auc": HISTORY["auc"]},
        {**HISTORY, "more": ((0, 1.0),)},
        {**HISTORY, "auc": ((0, 0.5),)},
        {**HISTORY, "auc": ((0, 0.5), (2, 0.7))},
        {},
    ],
)
def test_no_tolerance_makes_up_for_what_is_missing(
    history: dict[str, tuple[tuple[int, float], ...]],
) -> None:
    assert compared(history, tolerance=1e9).verdict is Verdict.DIFFERENT


@pytest.mark.parametrize("answers", [None, [[0.25, 0.75]], [[0.25, "x"], [0.5, 0.5]], []])
def test_other_answers_are_different(answers: object) -> None:
    assert compared(answers=answers, tolerance=1e9).verdict is Verdict.DIFFERENT


def test_other_bytes_of_a_model_that_answers_equally_are_a_note() -> None:
    judgement = compared(files={"model.pkl": "sha256:2"})
    assert judgement.verdict is Verdict.IDENTICAL
    assert judgement.notes == ("model.pkl: other bytes",)
    assert not any("digest" in line for line in judgement.compared)


def test_nothing_to_compare_is_never_identical() -> None:
    nothing = Outcome({}, None, {})
    assert judge(nothing, nothing, tolerance=1e9).verdict is Verdict.DIFFERENT


@given(st.dictionaries(st.text(max_size=5), st.lists(st.floats(), min_size=1), min_size=1))
def test_any_history_is_identical_to_itself(values: dict[str, list[float]]) -> None:
    history = {name: tuple(enumerate(some)) for name, some in values.items()}
    one, other = (Outcome(dict(history), None, {}) for _ in range(2))
    assert judge(one, other).verdict is Verdict.IDENTICAL
