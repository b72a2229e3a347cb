"""What a look finds: intervals by method, margins, several goals and arms, and what is missing."""

from __future__ import annotations

import math
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from tests.support.abtests import BOUGHT, cell, declared, seen, successes
from triune.delivery.abtest.analysis import analyse, by_segment
from triune.delivery.abtest.cell import Cell
from triune.delivery.abtest.findings import Analysis, Finding
from triune.delivery.abtest.model import Better, Kind, Method, Metric, Multiplicity, Role
from triune.delivery.abtest.readings import Memory
from triune.stats import cuped, multiple, proportions, ratio_metric
from triune.stats.effect import Arm, absolute, evened, relative
from triune.stats.fixed_horizon import welch
from triune.stats.group_sequential import bounds
from triune.stats.sequential_effect import sequential
from triune.stats.summary import Summary

ERRORS = Metric("errors", Kind.PROPORTION, Role.GUARDRAIL, better=Better.LOWER, margin=0.1)


def shares(a: int, b: int, n: int = 4000, m: int | None = None) -> dict[tuple[str, ...], Cell]:
    """Units that bought, of both arms."""
    return {("bought", "a"): successes(BOUGHT, a, n), ("bought", "b"): successes(BOUGHT, b, m or n)}


def test_a_sequential_interval_is_the_confidence_sequence_tuned_to_the_plan() -> None:
    test = declared(planned_units=5000)
    found = analyse(
        test,
        seen(
            {
                ("bought", "a"): successes(BOUGHT, 400, 4000),
                ("bought", "b"): successes(BOUGHT, 520, 4000),
            }
        ),
    ).of("bought", "b")
    arms = [Arm.of_mean(successes(BOUGHT, k, 4000).summary()) for k in (400, 520)]
    plain = sequential(absolute(*arms), 0.05, 10_000)
    assert found.difference is not None
    assert found.difference.low == pytest.approx(plain.low, rel=1e-12)
    assert found.p == pytest.approx(plain.p, rel=1e-12)
    assert found.relative is not None
    assert found.relative.value == pytest.approx(0.3)
    assert found.relative.high == pytest.approx(sequential(relative(*arms), 0.05, 10_000).high)
    assert (found.control, found.candidate, found.finding) == (0.1, 0.13, Finding.BETTER)


def test_a_fixed_test_says_nothing_before_its_one_look_and_then_what_welch_says() -> None:
    test = declared(method=Method.FIXED, planned_units=4000)
    cells = {
        ("bought", "a"): successes(BOUGHT, 400, 4000),
        ("bought", "b"): successes(BOUGHT, 460, 4000),
    }
    early = analyse(test, seen(cells, days=3.0))
    assert not early.due
    row = early.of("bought", "b")
    assert row.finding is Finding.NOT_YET
    assert row.p is None
    assert row.difference is not None
    assert row.difference.low is None
    row = analyse(test, seen(cells)).of("bought", "b")
    arms = [Arm.of_mean(successes(BOUGHT, k, 4000).summary()) for k in (400, 460)]
    assert row.p == pytest.approx(welch(absolute(*arms), 0.05).p)
    assert row.finding is Finding.BETTER


def test_a_group_sequential_test_looks_when_planned_and_spends_alpha_over_its_looks() -> None:
    test = declared(method=Method.GROUP_SEQUENTIAL, planned_units=4000, looks=2)

    def look(n: int, memory: Memory | None = None) -> Analysis:
        a, b = successes(BOUGHT, n // 10, n), successes(BOUGHT, round(n * 0.115), n)
        return analyse(test, seen({("bought", "a"): a, ("bought", "b"): b}), memory)

    assert not look(1999).due
    first = look(2000)
    assert first.due
    assert first.memory.fractions == (0.5,)
    again = look(2500, first.memory)
    assert not again.due
    assert again.of("bought", "b").p == first.of("bought", "b").p
    last = look(4000, again.memory)
    assert last.memory.fractions == (0.5, 1.0)
    row = last.of("bought", "b")
    arms = [Arm.of_mean(successes(BOUGHT, k, 4000).summary()) for k in (400, 460)]
    effect = absolute(*arms)
    assert row.difference is not None
    assert row.difference.low == pytest.approx(
        effect.value - bounds([0.5, 1.0], 0.05)[-1] * effect.error
    )
    assert look(5000, last.memory).due


def test_more_arms_share_alpha() -> None:
    test = declared(arms=3)
    cells = {("bought", v): successes(BOUGHT, 100 + i, 1000) for i, v in enumerate("abc")}
    found = analyse(test, seen(cells))
    assert found.alpha == 0.025
    assert {c.variant for c in found.comparisons} == {"b", "c"}


@pytest.mark.parametrize("rule", Multiplicity)
def test_goals_are_judged_together_and_guardrails_are_not(rule: Multiplicity) -> None:
    goals = [Metric(name, Kind.PROPORTION) for name in ("read", "shared")]
    test = declared(*goals, ERRORS, multiplicity=rule, planned_units=2000)
    rates = {"bought": 130, "read": 240, "shared": 101, "errors": 100}
    cells = {}
    for metric in test.metrics:
        cells[metric.name, "a"] = successes(metric, 200 if metric.name == "read" else 100, 2000)
        cells[metric.name, "b"] = successes(metric, rates[metric.name], 2000)
    found = analyse(test, seen(cells))
    ps = [found.of(name, "b").p for name in ("bought", "read", "shared")]
    judge = multiple.holm if rule is Multiplicity.HOLM else multiple.benjamini_hochberg
    expected = judge([p for p in ps if p is not None])
    assert [found.of(n, "b").p_adjusted for n in ("bought", "read", "shared")] == expected
    assert found.of("errors", "b").p_adjusted is None


def test_a_guardrail_excludes_harm_shows_it_or_neither() -> None:
    guard = replace(ERRORS, margin=0.2)
    test = declared(guard, planned_units=50_000)

    def finding(k: int, n: int) -> Finding:
        cells = {
            ("bought", "a"): successes(BOUGHT, 100, n),
            ("bought", "b"): successes(BOUGHT, 100, n),
            ("errors", "a"): successes(guard, n // 20, n),
            ("errors", "b"): successes(guard, k, n),
        }
        row = analyse(test, seen(cells)).of("errors", "b")
        assert row.relative is not None
        return row.finding

    assert finding(2400, 50_000) is Finding.NOT_WORSE
    assert finding(50, 1000) is Finding.OPEN
    assert finding(4000, 50_000) is Finding.WORSE


def test_a_guardrail_of_rare_harm_is_cleared_by_an_absolute_margin() -> None:
    guard = replace(ERRORS, margin=0.002, margin_absolute=True)
    test = declared(guard, planned_units=20_000)
    cells = {("errors", v): successes(guard, 0, 20_000) for v in "ab"}
    row = analyse(test, seen(cells)).of("errors", "b")
    assert row.finding is Finding.NOT_WORSE
    assert row.difference is not None
    assert row.difference.high is not None
    assert 0.0 < row.difference.high < 0.002
    relative = replace(guard, margin=0.1, margin_absolute=False)
    row = analyse(replace(test, metrics=(BOUGHT, relative)), seen(cells)).of("errors", "b")
    assert row.finding is Finding.NOT_YET
    assert "relative margin" in row.waits


def test_a_small_arm_that_has_not_seen_the_rare_values_is_not_trusted() -> None:
    metric = Metric("revenue", Kind.MEAN, Role.PRIMARY)
    many = cell(metric, [0.0] * 99_000 + [100.0] * 1000)
    few = cell(metric, [0.0] * 399 + [0.5])
    test = declared(primary=metric)
    row = analyse(test, seen({("revenue", "a"): many, ("revenue", "b"): few})).of("revenue", "b")
    assert row.finding is Finding.OPEN
    arms = Arm.of_mean(many.summary()), Arm.of_mean(few.summary())
    assert sequential(absolute(*arms), 0.05, 20_000).excludes(0.0)
    assert absolute(*evened(*arms)).error > 3.0 * absolute(*arms).error


def test_cuped_takes_the_noise_that_was_known_before() -> None:
    metric = Metric("minutes", Kind.MEAN, Role.PRIMARY, covariate="users:minutes")
    draw = np.random.default_rng(7)
    before = draw.normal(10.0, 2.0, (2, 4000))
    now = before * 0.9 + draw.normal(0.0, 1.0, (2, 4000)) + [[0.0], [0.2]]
    cells = {("minutes", v): cell(metric, now[i], before[i]) for i, v in enumerate("ab")}
    row = analyse(declared(primary=metric), seen(cells)).of("minutes", "b")
    arms = cuped.adjusted(*(Summary.of(now[i], before[i]) for i in (0, 1)))
    assert row.difference is not None
    assert row.difference.value == pytest.approx(absolute(*arms).value, rel=1e-9)
    rho = np.corrcoef(now.ravel(), before.ravel())[0, 1]
    assert row.noise_left == pytest.approx(1.0 - rho**2, rel=0.02)
    assert row.control == pytest.approx(now[0].mean())


def test_a_ratio_is_of_totals_and_its_units_are_what_varies() -> None:
    metric = Metric("ctr", Kind.RATIO, Role.PRIMARY)
    draw = np.random.default_rng(8)
    shows = draw.poisson(5.0, (2, 500)) + 1
    clicks = draw.binomial(shows, 0.3)
    cells = {("ctr", v): cell(metric, clicks[i], shows[i]) for i, v in enumerate("ab")}
    row = analyse(declared(primary=metric, method=Method.FIXED, planned_units=500), seen(cells)).of(
        "ctr", "b"
    )
    arms = [ratio_metric.ratio(Summary.of(clicks[i], shows[i])) for i in (0, 1)]
    assert row.control == pytest.approx(clicks[0].sum() / shows[0].sum())
    assert row.p == pytest.approx(welch(absolute(*arms), 0.05).p)


def test_a_ratio_waits_for_a_denominator() -> None:
    metric = Metric("ctr", Kind.RATIO, Role.PRIMARY)
    cells = {("ctr", v): cell(metric, [0.0] * 200, [0.0] * 199 + [1.0]) for v in "ab"}
    row = analyse(declared(primary=metric), seen(cells)).of("ctr", "b")
    assert row.finding is Finding.NOT_YET
    assert "denominator" in row.waits


@pytest.mark.parametrize("method", Method)
def test_quantiles_are_compared_from_histograms(method: Method) -> None:
    metric = Metric("latency", Kind.QUANTILE, Role.PRIMARY, better=Better.LOWER, quantile=0.9)
    draw = np.random.default_rng(9)
    times = draw.lognormal(3.0, 0.5, (2, 5000)) * [[1.0], [0.8]]
    cells = {("latency", v): cell(metric, times[i]) for i, v in enumerate("ab")}
    test = declared(primary=metric, method=method, planned_units=5000, looks=1)
    row = analyse(test, seen(cells)).of("latency", "b")
    assert row.finding is Finding.BETTER
    assert row.control == pytest.approx(np.quantile(times[0], 0.9), rel=0.01)
    assert row.relative is not None
    assert row.relative.value == pytest.approx(-0.2, abs=0.05)
    same = {("latency", v): cell(metric, times[0]) for v in "ab"}
    assert analyse(test, seen(same)).of("latency", "b").finding is Finding.OPEN


@pytest.mark.parametrize(
    ("kind", "a", "b", "waits"),
    [
        (Kind.MEAN, [1.0] * 99, [2.0] * 500, "99 of at least 100 units"),
        (Kind.MEAN, [1.0] * 200, [1.0] * 200, "same value"),
        (Kind.COUNT, [0.0] * 200, [1.0] * 200, "fewer than 20 events"),
    ],
)
def test_what_is_missing_is_not_yet(kind: Kind, a: list[float], b: list[float], waits: str) -> None:
    metric = Metric("m", kind, Role.PRIMARY)
    cells = {("m", "a"): cell(metric, a), ("m", "b"): cell(metric, b)}
    row = analyse(declared(primary=metric), seen(cells)).of("m", "b")
    assert row.finding is Finding.NOT_YET
    assert waits in row.waits
    assert row.p is None


def test_without_any_unit_nothing_is_found() -> None:
    found = analyse(declared(), seen({}, exposed={"a": 0}))
    assert found.of("bought", "b").finding is Finding.NOT_YET
    assert found.units == 0
    assert found.ratio.p == 1.0
    assert not found.ratio.blocked


def test_the_smallest_p_of_all_looks_is_kept_and_the_split_never_heals() -> None:
    test = declared()

    def look(k: int, b: int, memory: Memory | None = None) -> Analysis:
        cells = {
            ("bought", "a"): successes(BOUGHT, 300, 3000),
            ("bought", "b"): successes(BOUGHT, k, b),
        }
        return analyse(test, seen(cells), memory)

    first = look(420, 3000)
    second = look(310, 3000, first.memory)
    assert second.of("bought", "b").p == first.of("bought", "b").p
    assert second.of("bought", "b").finding is Finding.OPEN
    bad = look(350, 3500, second.memory)
    assert bad.ratio.blocked
    assert bad.ratio.chi_square < 0.001
    assert look(300, 3000, bad.memory).ratio.blocked
    written = msgspec.json.encode(bad.memory)
    assert msgspec.json.decode(written, type=Memory) == bad.memory


def test_segments_are_judged_together() -> None:
    test = declared(planned_units=1000)
    cells = {}
    for i in range(10):
        name = f"s{i}"
        cells["bought", "a", name] = successes(BOUGHT, 100, 1000)
        cells["bought", "b", name] = successes(
            BOUGHT, 170 if i == 0 else 141 if i == 1 else 100, 1000
        )
    cells["bought", "a", "tiny"] = successes(BOUGHT, 1, 10)
    rows = {row.segment: row for row in by_segment(test, seen(cells), "bought")}
    assert rows["s0"].finding is Finding.BETTER
    assert rows["s1"].finding is Finding.OPEN
    assert rows["s1"].p is not None
    assert rows["s1"].p_adjusted is not None
    assert rows["s1"].p < rows["s1"].p_adjusted
    assert rows["tiny"].finding is Finding.NOT_YET


def test_numbers_are_finite_or_left_out() -> None:
    guard = replace(ERRORS, kind=Kind.MEAN)
    cells = {("errors", v): cell(guard, np.arange(300.0)) for v in "ab"}
    found = analyse(declared(guard), seen(cells))
    decoded = msgspec.json.decode(msgspec.json.encode(found), type=Analysis)
    assert decoded == found
    row = found.of("errors", "b")
    assert row.relative is not None
    assert row.relative.high is not None
    assert math.isfinite(row.relative.high)


def test_a_proportion_is_the_mean_of_its_ones() -> None:
    row = analyse(
        declared(method=Method.FIXED, planned_units=2000),
        seen(
            {
                ("bought", "a"): successes(BOUGHT, 200, 2000),
                ("bought", "b"): successes(BOUGHT, 240, 2000),
            }
        ),
    ).of("bought", "b")
    arms = proportions.proportion(200, 2000), proportions.proportion(240, 2000)
    assert row.p == pytest.approx(welch(absolute(*arms), 0.05).p, rel=1e-2)
