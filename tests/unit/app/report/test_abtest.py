"""The report of an A/B test: a page that says what the analysis says, and stands by itself."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from tests.support.abtests import BOUGHT, cell, declared, seen, successes
from triune.app.report.abtest import TestReport, drawings, to_html
from triune.app.report.charts import abtest_effect, abtest_segments, abtest_units
from triune.delivery.abtest.analysis import analyse, by_segment
from triune.delivery.abtest.cell import Cell
from triune.delivery.abtest.decide import decide
from triune.delivery.abtest.explain import explain
from triune.delivery.abtest.findings import Analysis
from triune.delivery.abtest.model import Better, Declaration, Kind, Metric, Role
from triune.delivery.abtest.readings import Memory, Readings

ERRORS = Metric("errors", Kind.PROPORTION, Role.GUARDRAIL, better=Better.LOWER, margin=0.3)
SPENT = Metric("spent <&>", Kind.MEAN)
TEST = declared(ERRORS, SPENT, arms=3, planned_units=6000)


def readings(n: int, *, off: float = 1.0) -> Readings:
    draw = np.random.default_rng(4)
    cells: dict[tuple[str, ...], Cell] = {}
    for i, variant in enumerate("abc"):
        m = round(n * (off if variant == "c" else 1.0))
        cells["bought", variant] = successes(BOUGHT, round(m * (0.1 + 0.02 * i)), m)
        cells["errors", variant] = successes(ERRORS, round(m * 0.05), m)
        cells["spent <&>", variant] = cell(SPENT, draw.lognormal(2.0, 1.0, m))
        for segment in ("de", "<fr>"):
            cells["bought", variant, segment] = successes(BOUGHT, round(m * 0.1 * i), m // 2)
    return seen(cells, days=n / 500)


def report(test: Declaration = TEST, *, off: float = 1.0) -> TestReport:
    analyses: list[Analysis] = []
    memory: Memory | None = None
    found = readings(500)
    for n in range(500, 6001, 500):
        found = readings(n, off=off)
        analyses.append(analyse(test, found, memory))
        memory = analyses[-1].memory
    decision = decide(test, analyses[-1], found)
    return TestReport(
        workspace="shop",
        made=datetime(2026, 12, 1, tzinfo=UTC),
        declaration=test,
        decision=decision,
        sentences=tuple(explain(test, analyses[-1], decision, found)),
        analyses=tuple(analyses),
        segments={"bought": by_segment(test, found, "bought")},
        troubles=("3 events name no unit",),
    )


def test_the_page_says_it_and_needs_nothing_else() -> None:
    made = report()
    page = to_html(made)
    assert made.sentences[0] in page.replace("&#39;", "'")
    assert "3 events name no unit" in page
    assert "spent &lt;&amp;&gt;" in page
    assert "<script" not in page
    assert "href=" not in page
    assert "http" not in page.replace('xmlns="http://www.w3.org/2000/svg"', "")


def test_every_drawing_is_well_formed_and_named() -> None:
    made = report()
    keys = {}
    for drawing in drawings(made):
        root = ET.fromstring(drawing.svg)
        titles = [child.text for child in root if child.tag.endswith(("title", "desc"))]
        assert all(titles)
        assert len(titles) == 2
        assert "nan" not in drawing.svg
        assert "inf" not in drawing.svg.replace("info", "")
        keys[drawing.key] = drawing
    assert set(keys) == {
        *("effect-bought", "effect-errors", "effect-spent <&>"),
        *("segments-bought", "exposure", "split"),
    }
    assert "margin" in keys["effect-errors"].svg


def test_the_effect_at_the_last_look_is_what_the_analysis_has() -> None:
    made = report()
    found = made.analyses[-1].of("bought", "b").relative
    assert found is not None
    assert found.low is not None
    svg = abtest_effect.draw(TEST, BOUGHT, made.analyses)
    assert f"{found.value:+.1%} ({found.low:+.1%} to {found.high:+.1%})" in svg


def test_a_wrong_split_is_seen() -> None:
    made = report(off=1.3)
    assert made.decision.action.value == "stop"
    svg = abtest_units.split(TEST, made.analyses)
    assert "nothing is concluded" in svg
    assert 'class="pill bad"' in to_html(made)


def test_segments_that_cannot_be_compared_say_why() -> None:
    cells: dict[tuple[str, ...], Cell] = {
        ("bought", v, s): successes(BOUGHT, n // 10, n)
        for v in "abc"
        for s, n in (("de", 1000), ("tiny", 10))
    }
    rows = by_segment(TEST, seen(cells, exposed={"a": 1}), "bought")
    svg = abtest_segments.draw(rows, ["b", "c"])
    assert "10 of at least 100 units" in svg


@pytest.mark.parametrize("looks", [0, 1])
def test_a_test_that_has_just_begun_has_a_page(looks: int) -> None:
    made = report()
    empty = analyse(TEST, seen({}, exposed={"a": 0}))
    young = replace(made, analyses=(empty,) * looks, segments={})
    page = to_html(young)
    assert "<svg" not in page
    assert "As it was declared" in page


@pytest.mark.parametrize(
    ("days", "unit"), [(14.0, "days"), (0.5, "hours"), (0.02, "minutes"), (0.0003, "seconds")]
)
def test_the_time_axis_has_the_unit_that_fits(days: float, unit: str) -> None:
    from triune.app.report.charts.abtest_time import since_the_first
    from triune.app.report.charts.scale import Scale

    *marks, words = since_the_first(Scale(0.0, days, 0.0, 100.0), 50.0)
    assert f"{unit} since the first exposure" in words
    assert 4 <= len(marks) <= 16
