"""Plots as text: of the size asked for, whatever there is to draw."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support import rollout_views as made
from triune.cli import rollout_plot as plot
from triune.cli.rollout_looks import Point, points

LOOKS = points(made.looks(bad=True))
AREA = plot.Area(40, 12, False, made.BEGUN)


def all_three(looks: list[Point], area: plot.Area) -> list[str]:
    return [
        plot.weight(looks, area),
        plot.e_values(looks, area, 100.0),
        plot.error_rates(looks, area),
    ]


@pytest.mark.parametrize("size", [(24, 6), (40, 12), (98, 14)])
@pytest.mark.parametrize("count", [0, 1, 2, 53])
def test_a_plot_has_the_size_asked_for(size: tuple[int, int], count: int) -> None:
    width, height = size
    for text in all_three(LOOKS[:count], replace(AREA, width=width, height=height)):
        lines = text.split("\n")
        assert len(lines) == height
        assert {len(line) for line in lines} == {width}


def test_the_value_that_decides_is_a_line_the_evidence_crosses() -> None:
    harmful = [*LOOKS[:-1], replace(LOOKS[-1], e=900.0)]
    lines = plot.e_values(harmful, AREA, 100.0).split("\n")
    (bar,) = [place for place, line in enumerate(lines[1:], 1) if "---" in line]
    assert lines[bar].strip().startswith("100┤")
    above = [line for line in lines[1:bar] if any("⠀" < mark <= "⣿" for mark in line)]
    assert above, "the evidence ends above the line"
    calm = plot.e_values(points(made.looks()), AREA, 100.0).split("\n")
    (bar,) = [place for place, line in enumerate(calm[1:], 1) if "---" in line]
    assert not any("⠀" < mark <= "⣿" for line in calm[1:bar] for mark in line)


def test_the_axis_of_evidence_reaches_from_nothing_to_very_much() -> None:
    extreme = [replace(LOOKS[0], e=0.0), replace(LOOKS[1], e=1e300)]
    text = plot.e_values(extreme, AREA, 100.0)
    assert "1e+" in text
    assert len(text.split("\n")) == AREA.height


def test_time_runs_from_the_rollouts_beginning() -> None:
    assert plot.weight(LOOKS, AREA).split("\n")[-1].split() == ["0", "8.8", "min"]


def test_thousands_of_looks_are_thinned_and_the_last_one_is_kept() -> None:
    many = [replace(LOOKS[0], number=n, at=made.BEGUN + n) for n in range(1, 8_641)]
    many[-1] = replace(many[-1], e=5_000.0)
    assert "1e" not in plot.e_values(many[:-1], AREA, 100.0)
    assert plot.e_values(many, AREA, 100.0) != plot.e_values(many[:-1], AREA, 100.0)


def test_without_colours_a_plot_is_plain_text() -> None:
    for text in all_three(LOOKS, AREA):
        assert "\x1b" not in text
    for text in all_three(LOOKS, replace(AREA, colour=True)):
        assert "\x1b" in text
