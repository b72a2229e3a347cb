"""kill -9 of the consumer, the broker and the online store, again and again: nothing is lost, and
nothing is counted twice."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from tests.support import streams
from tests.support.services import MakeWorkspace, kill, make_workspace, only, pid_of, status_of
from triune.app import services
from triune.app.context import Context
from triune.core.waiting import wait_until

__all__ = ["make_workspace"]

pytestmark = [pytest.mark.engine, pytest.mark.slow]

BATCH = 400
KILLED = ("streams", "valkey", "broker", "streams", "seaweedfs", "valkey")


@pytest.fixture
def context(make_workspace: MakeWorkspace) -> Iterator[Context]:
    names = ("postgres", "valkey", "seaweedfs", "broker", "streams")
    workspace = make_workspace(settings=only(*names, profile="server") + streams.TOML)
    streams.begin(workspace)
    made = Context(workspace)
    services.up(made)
    made.data.add("rides")
    made.features.apply()
    yield made
    made.close()


def back(context: Context, name: str, before: int) -> None:
    def is_back() -> bool:
        status = status_of(context.supervisor, name)
        return status.ready and status.pid != before

    wait_until(is_back, timeout=90, what=f"{name} is back")


def test_whatever_is_killed_the_features_are_those_of_all_events(context: Context) -> None:
    events = streams.rides(0, BATCH)
    context.streams.publish("rides", events)
    for place, name in enumerate(KILLED):
        before = pid_of(context.supervisor, name)
        more = streams.rides((place + 1) * BATCH, (place + 2) * BATCH)
        half = len(more) // 2
        context.streams.publish("rides", more[:half])
        kill(before)
        back(context, name, before)
        again = streams.rides(0, 50)  # duplicates of long ago, most of them late by now
        context.streams.publish("rides", [*again, *more[half:]])
        events += more
    end = max(streams.EPOCH + timedelta(seconds=one["id"] / 3) for one in events)
    context.streams.advance("rides", end)
    context.streams.settle("rides", timeout=120)
    drivers = sorted({one["driver"] for one in events})
    found = context.features.get({"driver": drivers}, ["recent"])
    for place, driver in enumerate(drivers):
        got = [found.columns[f"recent:{name}"][place] for name in streams.FEATURES]
        assert got == streams.wanted(events, driver, end), driver
    wait_until(
        lambda: sum(context.streams.status("rides").lag.values()) == 0, timeout=60, what="no lag"
    )
    assert context.streams.status("rides").dead > 0
    assert context.ledger.coverage().share == 1.0
