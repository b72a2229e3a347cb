"""Whatever was seen: what is promoted fulfils every condition, and arms may change places."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.abtests import BOUGHT, declared, seen, successes
from triune.delivery.abtest.analysis import analyse
from triune.delivery.abtest.cell import Cell
from triune.delivery.abtest.decide import Action, decide
from triune.delivery.abtest.explain import explain
from triune.delivery.abtest.findings import RATIO_ALPHA, Finding
from triune.delivery.abtest.model import Better, Declaration, Kind, Method, Metric, Role
from triune.delivery.abtest.readings import Memory, Readings
from triune.delivery.rollout.verdict import Verdict

ERRORS = Metric("errors", Kind.PROPORTION, Role.GUARDRAIL, better=Better.LOWER, margin=0.5)


@st.composite
def looks(draw: st.DrawFn) -> tuple[Declaration, list[Readings]]:
    """A declaration and what two looks see."""
    arms = draw(st.integers(2, 3))
    test = declared(
        ERRORS,
        arms=arms,
        method=draw(st.sampled_from(Method)),
        planned_units=draw(st.sampled_from([400, 2000])),
        minimum_units=300,
        looks=2,
        non_inferior=draw(st.booleans()),
        primary=replace(BOUGHT, margin=0.2),
    )
    found = []
    for scale in (1, 2):
        cells: dict[tuple[str, ...], Cell] = {}
        for variant in "abc"[:arms]:
            n = scale * draw(st.sampled_from([0, 50, 500, 520, 1000]))
            for metric in test.metrics:
                share = draw(st.floats(0.0, 1.0) | st.sampled_from([0.0, 0.1, 0.12]))
                cells[metric.name, variant] = successes(metric, round(share * n), n)
        days = draw(st.sampled_from([1.0, 7.0, 100.0]))
        found.append(seen(cells, days, alarm=draw(st.sampled_from(["", "", "errors rise"]))))
    return test, found


@given(looks())
@settings(max_examples=60, deadline=None)
def test_what_is_promoted_fulfils_every_condition(told: tuple[Declaration, list[Readings]]) -> None:
    test, found = told
    memory: Memory | None = None
    for readings in found:
        analysis = analyse(test, readings, memory)
        memory = analysis.memory
        decision = decide(test, analysis, readings)
        assert decision.reason
        assert all(explain(test, analysis, decision, readings))
        if decision.action is not Action.PROMOTE:
            assert decision.verdict is not Verdict.PASS
            assert decision.variant is None
            continue
        assert decision.variant is not None
        assert analysis.ratio.p >= RATIO_ALPHA
        assert analysis.due
        assert not readings.alarm
        assert readings.days >= test.cycle_days
        needed = test.planned_units if test.method is Method.FIXED else test.minimum_units
        assert min(readings.exposed.values()) >= needed
        guard = analysis.of("errors", decision.variant)
        assert guard.finding is Finding.NOT_WORSE
        primary = analysis.of("bought", decision.variant)
        if test.non_inferior:
            assert primary.relative is not None
            assert primary.relative.low is not None
            assert primary.relative.low > -0.2
        else:
            assert primary.difference is not None
            assert primary.difference.low is not None
            assert primary.difference.low > 0.0 or primary.p <= analysis.alpha  # type: ignore[operator]


@given(st.integers(0, 1000), st.integers(0, 1000), st.sampled_from(Method))
@settings(max_examples=40, deadline=None)
def test_arms_that_change_places_change_the_sign(a: int, b: int, method: Method) -> None:
    test = declared(method=method, planned_units=1000, looks=1)
    cells = successes(BOUGHT, a, 1000), successes(BOUGHT, b, 1000)
    one = analyse(test, seen({("bought", "a"): cells[0], ("bought", "b"): cells[1]}))
    other = analyse(test, seen({("bought", "a"): cells[1], ("bought", "b"): cells[0]}))
    mine, theirs = one.of("bought", "b"), other.of("bought", "b")
    swapped = {Finding.BETTER: Finding.WORSE, Finding.WORSE: Finding.BETTER}
    assert theirs.finding is swapped.get(mine.finding, mine.finding)
    assert mine.difference is not None
    assert theirs.difference is not None
    assert abs(mine.difference.value + theirs.difference.value) < 1e-12
