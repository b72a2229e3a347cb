"""Does a test that is looked at all the time find what is not there? With fixed seeds.

The whole table is ``bench/abtest.py``, whose test for many runs at once is shown here to be the
one that is used. Bound: alpha and three standard errors of the share of false findings.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from bench.abtests.looks import Plan, ours
from bench.abtests.worlds import WORLDS, Arm, World

from tests.support.abtests import declared, seen
from triune.delivery.abtest.analysis import analyse
from triune.delivery.abtest.cell import Cell
from triune.delivery.abtest.findings import Finding
from triune.delivery.abtest.model import Kind, Metric, Role, Variant

RUNS, LOOKS, BLOCK = 300, 100, 100


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)
def test_alike_arms_differ_in_few_tests_however_often_one_looks(world: World) -> None:
    arms = world.arms(np.random.default_rng(5), RUNS, LOOKS, BLOCK)
    with np.errstate(divide="ignore", invalid="ignore"):
        shown = ours(*arms, Plan(0.05, 2.0 * LOOKS * BLOCK, world.binary))
    assert shown.any(axis=1).mean() <= 0.05 + 3.0 * math.sqrt(0.05 * 0.95 / RUNS)


@pytest.mark.parametrize(
    ("name", "effect"),
    [
        ("normal", 0.12),
        ("normal, 9 to 1", 0.2),
        ("binary 3 %", 0.025),
        ("binary 0.1 %", 0.015),
        ("binary 3 %, 9 to 1", 0.04),
        ("revenue", 0.03),
        ("revenue, 9 to 1", 0.1),
    ],
)
def test_many_runs_at_once_find_what_the_analysis_finds(name: str, effect: float) -> None:
    world = next(world for world in WORLDS if world.name == name)
    kind = Kind.PROPORTION if world.binary else Kind.MEAN
    metric = Metric("m", kind, Role.PRIMARY)
    shares = [round(share * 10_000) for share in world.shares]
    test = declared(
        primary=metric,
        planned_units=round(4000 * min(world.shares)),
        variants=(Variant("a", shares[0]), Variant("b", shares[1])),
    )
    a, b = world.arms(np.random.default_rng(6), 6, 20, BLOCK, effect)
    with np.errstate(divide="ignore", invalid="ignore"):
        shown = ours(a, b, Plan(0.05, 4000.0, world.binary))
    for run in range(6):
        for look in (0, 1, 4, 9, 19):
            cells = {
                ("m", "a"): _cell(metric, a, run, look),
                ("m", "b"): _cell(metric, b, run, look),
            }
            row = analyse(test, seen(cells)).of("m", "b")
            assert (row.finding in (Finding.BETTER, Finding.WORSE)) == shown[run, look]


def _cell(metric: Metric, arm: Arm, run: int, look: int) -> Cell:
    """A cell of two values that have the arm's number, sum and sum of squares."""
    n, total = int(arm.n[look]), float(arm.total[run, look])
    cell = Cell(metric)
    if metric.kind is Kind.PROPORTION:
        rows = [(1.0,)] * int(total) + [(0.0,)] * (n - int(total))
        return Cell.of(metric, rows)
    scatter = max(float(arm.squares[run, look]) - total * total / n, 0.0)
    half = n // 2
    away = math.sqrt(scatter / (half + half * half / (n - half)))
    for i in range(n):
        cell.add((total / n + (away if i < half else -away * half / (n - half)),))
    return cell
