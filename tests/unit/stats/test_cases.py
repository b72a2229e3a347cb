"""Agreement with the numbers that other projects' packages give.

``tests/cases/statistics.json`` names each number's source, inputs, expected value and tolerance.
A case without a call of ours fails.
"""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from tests.unit.stats.case_calls import CALLS, CASES, kayenta

FILE = json.loads((CASES / "statistics.json").read_text())["cases"]


@pytest.mark.parametrize("case", FILE, ids=lambda case: case["id"])
def test_the_case_agrees(case: dict[str, Any]) -> None:
    fitting = [start for start in CALLS if case["id"].startswith(start)]
    assert fitting, f"no call of ours for {case['id']}: {case['call']}"
    got = CALLS[max(fitting, key=len)](case["inputs"])
    agree(case["expected"], got, case["tol"])


def test_all_cases_are_there_and_every_call_is_used() -> None:
    assert len(FILE) == 71
    assert all(any(case["id"].startswith(start) for case in FILE) for start in CALLS)


def test_the_second_data_set_of_kayenta_agrees_with_r() -> None:
    data = json.loads((CASES / "kayenta-180.json").read_text())
    agree(data["expected"], kayenta(data), 1.5e-4)


def agree(expected: Any, got: Any, tolerance: float) -> None:
    """The same shape, and every number within the tolerance; None stands for an open end."""
    if isinstance(expected, dict):
        assert set(got) == set(expected)
        for key, value in expected.items():
            agree(value, got[key], tolerance)
    elif isinstance(expected, list):
        assert len(got) == len(expected)
        for value, ours in zip(expected, got, strict=True):
            agree(value, ours, tolerance)
    elif expected is None:
        assert math.isinf(got)
    else:
        assert abs(got - expected) <= tolerance
