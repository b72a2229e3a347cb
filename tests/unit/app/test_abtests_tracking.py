"""A/B tests in the tracker: an experiment each, once, with its looks and its end."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.abtest_facts import DECLARED
from tests.support.runs import MemoryTracker
from triune.app.abtests_tracking import TestShipper
from triune.app.context import Context
from triune.core.workspace import Workspace
from triune.delivery.abtest.exposing import exposure
from triune.delivery.flags.model import Flag
from triune.models.tracking.model import RunStatus


def test_a_test_begins_and_ends_in_its_own_experiment(tmp_path: Path) -> None:
    (tmp_path / "triune.toml").write_text('[workspace]\nname = "shop"\n')
    context = Context(Workspace(tmp_path))
    context.flags.set(Flag("new-ui", True, {"on": True, "off": False}, "off"), "a page")
    trackers: dict[str, MemoryTracker] = {}

    def tracker(experiment: str) -> MemoryTracker:
        return trackers.setdefault(experiment, MemoryTracker())

    shipper = TestShipper(context.ledger, lambda: context.abtests, tracker, "shop")
    assert not shipper.has_news()
    run = context.abtests.start(DECLARED, "to see")
    assert shipper.ship() == 1
    assert not shipper.has_news()
    (tracked,) = trackers["shop/tests/checkout"].runs.values()
    assert tracked.params["hypothesis"] == "the new page sells more"
    assert tracked.status is RunStatus.RUNNING
    units = [f"u{number}" for number in range(50)]
    seen = [exposure(run, unit, run.declaration.variant_of(unit) or "", "shop") for unit in units]
    context.ledger.record(seen)
    context.abtests.decide("checkout", "enough of it", winner="")
    tracker("shop/tests/checkout").fail_after = 2
    with pytest.raises(KeyboardInterrupt):
        shipper.ship()  # it dies half-way
    tracker("shop/tests/checkout").fail_after = None
    assert shipper.ship() == 1
    assert shipper.ship() == 0
    assert len(trackers["shop/tests/checkout"].runs) == 1
    assert tracked.status is RunStatus.FINISHED
    assert tracked.tags["triune.why"] == "enough of it"
    last = {name: value for (name, step, _), value in tracked.points.items() if step == 39}
    assert last["units/old"] + last["units/new"] == 50.0
    context.close()
