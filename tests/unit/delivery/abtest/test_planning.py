"""How many units and days a test takes, and which effect it would see."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from tests.support.abtests import BOUGHT, declared
from triune.delivery.abtest.model import Kind, Method, Metric, Role, Variant
from triune.delivery.abtest.planning import Baseline, plan
from triune.stats import sample_size

TEST = declared(planned_units=40_000)
TENTH = {"bought": Baseline(0.1)}


def test_shares_take_what_the_published_formula_says() -> None:
    fixed = plan(replace(TEST, method=Method.FIXED), TENTH, 2000.0)
    assert fixed.units == sample_size.units(0.1, 0.11) / 2
    assert fixed.days == pytest.approx(fixed.units / 1000)
    sequential = plan(TEST, TENTH, 2000.0)
    assert sequential.units == sample_size.units(0.1, 0.11, sequential=True) / 2
    group = plan(replace(TEST, method=Method.GROUP_SEQUENTIAL), TENTH, 2000.0)
    assert fixed.units < (group.units or 0) < sequential.units


@pytest.mark.parametrize("kind", [Kind.MEAN, Kind.COUNT, Kind.RATIO, Kind.QUANTILE])
def test_the_effect_that_is_seen_is_the_inverse_of_the_units(kind: Kind) -> None:
    metric = Metric("m", kind, Role.PRIMARY, minimum_effect=0.05, quantile=0.5)
    test = declared(primary=metric)
    found = plan(test, {"m": Baseline(4.0, 9.0)}, 1000.0)
    assert found.units is not None
    back = plan(replace(test, planned_units=found.units), {"m": Baseline(4.0, 9.0)}, 1000.0)
    assert back.metrics[0].planned_effect == pytest.approx(0.05, rel=1e-3)
    days = found.units / 500.0
    weekly = plan(replace(test, cycle_days=days), {"m": Baseline(4.0, 9.0)}, 1000.0)
    assert weekly.metrics[0].cycle_effect == pytest.approx(0.05, rel=1e-3)


def test_cuped_needs_fewer_units_by_the_square_of_the_correlation() -> None:
    metric = Metric("m", Kind.MEAN, Role.PRIMARY, minimum_effect=0.05, covariate="u:m")
    test = declared(primary=metric)
    plain, less = (plan(test, {"m": Baseline(4.0, 9.0, rho)}, 1000.0).units for rho in (0.0, 0.8))
    assert plain is not None
    assert less == pytest.approx(plain * 0.36, rel=1e-3)


def test_a_planned_fixed_test_has_its_power() -> None:
    metric = Metric("m", Kind.MEAN, Role.PRIMARY, minimum_effect=0.1)
    test = declared(primary=metric, method=Method.FIXED)
    units = plan(test, {"m": Baseline(1.0, 1.0)}, 100.0).units
    assert units is not None
    draw = np.random.default_rng(3)
    apart = draw.normal(0.1, np.sqrt(2.0 / units), 20_000) / np.sqrt(2.0 / units)
    assert (np.abs(apart) > norm.isf(0.025)).mean() == pytest.approx(0.8, abs=0.01)


def test_uneven_shares_and_more_arms_take_more() -> None:
    even = plan(TEST, TENTH, 2000.0)
    uneven = plan(replace(TEST, variants=(Variant("a", 9000), Variant("b", 1000))), TENTH, 2000.0)
    assert even.days is not None
    assert uneven.days is not None
    assert uneven.days > 2.0 * even.days
    three = plan(declared(arms=3), TENTH, 2000.0)
    assert three.alpha == 0.025
    assert (three.units or 0) > (even.units or 0)


def test_margins_are_planned_for_from_one_side() -> None:
    guard = Metric("errors", Kind.PROPORTION, Role.GUARDRAIL, margin=0.1)
    both = {**TENTH, "errors": Baseline(0.1)}
    relative = plan(declared(guard), both, 2000.0).metrics[1]
    absolute = plan(
        declared(replace(guard, margin=0.01, margin_absolute=True)), both, 2000.0
    ).metrics[1]
    assert relative.units == absolute.units
    assert relative.effect == pytest.approx(0.1)


def test_it_says_what_will_not_work() -> None:
    unknown = plan(declared(primary=replace(BOUGHT, minimum_effect=None)), {}, 0.0)
    assert unknown.units is None
    assert len(unknown.warnings) == 2
    slow = plan(declared(planned_units=100, cycle_days=2.0), TENTH, 10.0)
    assert len(slow.warnings) == 4
    rare = plan(TEST, {"bought": Baseline(0.001)}, 2000.0).warnings
    assert "About 40 events of bought" in rare[-1]
    assert plan(replace(TEST, planned_units=60_000), TENTH, 20_000.0).warnings == ()
