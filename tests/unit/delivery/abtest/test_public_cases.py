"""The whole analysis, from cells, gives the numbers that other projects' packages give.

Cells with the totals of the cases in ``tests/cases/statistics.json``; what each method gives by
itself is held against all of them in ``tests/unit/stats/test_cases.py``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import pytest

from tests.support.abtests import declared, seen
from tests.unit.stats.case_calls import CASES
from triune.delivery.abtest.analysis import analyse
from triune.delivery.abtest.cell import Cell
from triune.delivery.abtest.findings import Compared
from triune.delivery.abtest.model import Kind, Method, Metric, Role, Variant
from triune.delivery.abtest.readings import Memory, Readings

ALL = {case["id"]: case for case in json.loads((CASES / "statistics.json").read_text())["cases"]}
SCALE = 80


def cell(metric: Metric, n: int, sums: Sequence[float], products: Sequence[float]) -> Cell:
    """A cell of units that nobody knows any more but by these totals."""
    made = Cell(metric)
    made.moments.n, made.moments.scale = n, SCALE
    made.moments.sums = [int(Fraction(x) * 2**SCALE) for x in sums]
    made.moments.products = [int(Fraction(x) * 4**SCALE) for x in products]
    return made


def compared(metric: Metric, a: Cell, b: Cell, planned: int, method: Method) -> Compared:
    """``planned`` units of both arms together."""
    test = declared(primary=metric, planned_units=planned // 2, method=method)
    return analyse(test, seen({("m", "a"): a, ("m", "b"): b})).of("m", "b")


def of_columns(metric: Metric, of: dict[str, Any], columns: list[str]) -> Cell:
    pairs = [(x, y) for i, x in enumerate(columns) for y in columns[i:]]
    products = [
        of[f"{x}_sq"] if x == y else of.get(f"{x}*{y}", of.get(f"{y}*{x}")) for x, y in pairs
    ]
    return cell(metric, of["n"], [of[column] for column in columns], products)


@pytest.mark.parametrize(
    ("case", "kind", "columns"),
    [
        ("tea-rpu", Kind.MEAN, ["revenue"]),
        ("tea-cuped-rpu", Kind.MEAN, ["revenue", "revenue_covariate"]),
        (
            "tea-cuped-ops",
            Kind.RATIO,
            ["orders", "sessions", "orders_covariate", "sessions_covariate"],
        ),
    ],
)
def test_fixed_tests_of_means_and_ratios_with_and_without_cuped(
    case: str, kind: Kind, columns: list[str]
) -> None:
    inputs, expected = ALL[case]["inputs"], ALL[case]["expected"]
    covariates = {"covariate": "u:x", "covariate_denominator": "u:d"} if len(columns) > 1 else {}
    metric = Metric("m", kind, Role.PRIMARY, **covariates)  # type: ignore[arg-type]
    arms = [of_columns(metric, inputs[name], columns) for name in ("control", "treat")]
    row = compared(metric, *arms, 2000, Method.FIXED)
    assert row.difference is not None
    assert row.difference.value == pytest.approx(expected["effect_size"], abs=1e-9)
    assert row.difference.low == pytest.approx(expected["effect_size_ci_lower"], abs=1e-9)
    assert row.difference.high == pytest.approx(expected["effect_size_ci_upper"], abs=1e-9)
    assert row.p == pytest.approx(expected["pvalue"], abs=1e-9)


def test_a_fixed_test_of_a_ratio() -> None:
    inputs, expected = (ALL["gb-ratio-t-absolute"][key] for key in ("inputs", "expected"))
    metric = Metric("m", Kind.RATIO, Role.PRIMARY)
    arms = [
        cell(metric, inputs["n"], [of["m"][0], of["d"][0]], [of["m"][1], of["md"], of["d"][1]])
        for of in (inputs["a"], inputs["b"])
    ]
    row = compared(metric, *arms, 200, Method.FIXED)
    assert row.difference is not None
    assert [row.difference.low, row.difference.high] == pytest.approx(expected["ci"], abs=1e-9)
    assert row.p == pytest.approx(expected["pValue"], abs=1e-9)


@pytest.mark.parametrize(
    ("case", "planned", "wider"), [("gb-seq-prop", 5000, 1.0), ("gb-seq-1000", 1000, 1.1)]
)
def test_sequential_tests_are_as_wide_as_gbstats_or_wider(
    case: str, planned: int, wider: float
) -> None:
    """As wide where the smaller arm scatters more; where it scatters less, it is evened."""
    inputs, expected = ALL[case]["inputs"], ALL[case]["expected"]
    shares = isinstance(inputs["a"], list)
    metric = Metric("m", Kind.PROPORTION if shares else Kind.MEAN, Role.PRIMARY)
    arms = [
        cell(metric, of[1], [of[0]], [of[0]])
        if shares
        else cell(metric, of["n"], [of["sum"]], [of["sumsq"]])
        for of in (inputs["a"], inputs["b"])
    ]
    row = compared(metric, *arms, planned, Method.SEQUENTIAL)
    assert row.relative is not None
    assert row.relative.low is not None
    assert row.relative.high is not None
    assert row.relative.value == pytest.approx(expected["expected"], abs=1e-5)
    width = expected["ci"][1] - expected["ci"][0]
    # A variance of n - 1 instead of n, as gbstats has it for shares, makes 1e-4.
    assert (1.0 - 1e-4) * width <= row.relative.high - row.relative.low <= (wider + 2e-4) * width


def test_a_small_arm_is_trusted_no_more_than_by_gbstats() -> None:
    inputs, expected = (ALL["gb-canary-20-1000"][key] for key in ("inputs", "expected"))
    metric = Metric("m", Kind.PROPORTION, Role.PRIMARY)
    arms = [cell(metric, n, [k], [k]) for k, n in (inputs["control"], inputs["canary"])]
    row = compared(metric, *arms, 5000, Method.SEQUENTIAL)
    assert row.difference is not None
    assert row.difference.value == pytest.approx(expected["expected"])
    # Here the small arm has the larger variance, so that nothing is changed by evening.
    assert row.difference.low == pytest.approx(expected["ci"][0], rel=2e-3)


def test_the_split_of_units_look_by_look() -> None:
    inputs, expected = (ALL["ssrm-3-900-130"][key] for key in ("inputs", "expected"))
    test = declared(variants=(Variant("a", 9000), Variant("b", 1000)))
    memory: Memory | None = None
    counts = [0, 0]
    for more, p in zip(inputs["data"], expected["p"], strict=True):
        counts = [old + new for old, new in zip(counts, more, strict=True)]
        found = analyse(test, Readings({"a": counts[0], "b": counts[1]}), memory)
        memory = found.memory
        assert found.ratio.p == pytest.approx(p, abs=1e-9)


def test_the_split_of_units_at_one_look() -> None:
    case = ALL["gb-srm-1000-1200"]
    found = analyse(declared(), Readings({"a": 1000, "b": 1200}))
    assert found.ratio.chi_square == pytest.approx(case["expected"]["p"], abs=1e-9)
    assert case["inputs"]["users"] == [1000, 1200]
