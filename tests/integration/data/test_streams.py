"""Streams through a real broker: bad events, replay, redrive, what is told of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from tests.support import streams
from tests.support.services import MakeWorkspace, clear, make_workspace, only
from triune.app import services
from triune.app.context import Context
from triune.core.errors import ConfigError, NotFound, Refused
from triune.core.waiting import wait_until
from triune.core.workspace import Workspace
from triune.data.streams.ports import Outgoing
from triune.ledger.ports import Query

__all__ = ["make_workspace"]

pytestmark = [pytest.mark.engine, pytest.mark.slow]


@pytest.fixture
def context(make_workspace: MakeWorkspace) -> Iterator[Context]:
    settings = only("broker", "streams") + streams.TOML
    workspace = make_workspace(settings=settings)
    streams.begin(workspace)
    made = Context(workspace)
    services.up(made)
    made.data.add("rides")
    made.features.apply()
    yield made
    made.close()


def online(context: Context, driver: str) -> list[object]:
    found = context.features.get({"driver": [driver]}, ["recent"])
    return [found.columns[f"recent:{name}"][0] for name in streams.FEATURES]


def test_a_stream_from_its_first_event_to_its_replay(context: Context) -> None:
    events = streams.rides(0, 300)
    end = streams.EPOCH + timedelta(seconds=100)
    assert context.streams.publish("rides", events, until=end) == 300
    context.streams.advance("rides", end)
    context.streams.settle("rides")
    wanted = {f"d{n}": streams.wanted(events, f"d{n}", end) for n in range(5)}
    assert {driver: online(context, driver) for driver in wanted} == wanted

    # What cannot be used becomes a dead letter with its reason, and holds nothing up.
    topic = [
        {"id": 1},
        {**events[5], "fare": "much"},
        {**events[5], "id": 9_999, "t": "2025-01-01"},
    ]
    raw = [json.dumps(one).encode() for one in topic] + [b"\x00poison"]
    context.streams._send("rides", [Outgoing(value, b"k") for value in raw])
    context.streams.settle("rides")
    wait_until(lambda: context.streams.status("rides").dead == 4, timeout=60, what="dead letters")
    letters = context.streams.tail("rides", dead=True)
    reasons = sorted(letter.headers["triune-reason"].decode() for letter in letters)
    assert reasons == ["field-missing", "late", "not-json", "wrong-type"]
    assert {driver: online(context, driver) for driver in wanted} == wanted

    # A replay gives the same again; letters are sent again once only.
    assert context.streams.replay("rides", dry_run=True).cleared is None
    assert context.streams.replay("rides").cleared == 5
    context.streams.settle("rides")
    wait_until(
        lambda: {driver: online(context, driver) for driver in wanted} == wanted,
        timeout=60,
        what="the replay has come to the same",
    )
    wait_until(lambda: context.streams.status("rides").dead == 8, timeout=60, what="letters again")
    assert context.streams.redrive("rides", dry_run=True) == 4
    assert context.streams.redrive("rides") == 4
    context.streams.settle("rides")
    wait_until(lambda: context.streams.status("rides").dead == 12, timeout=60, what="bad again")
    origins = {
        (m.headers["triune-partition"], m.headers["triune-offset"])
        for m in context.streams.tail("rides", dead=True, newest=4)
    }
    assert len(origins) == 4

    # Who looks finds it: metrics, ranges in the ledger, complete ancestry.
    page = httpx.get(f"http://{context.addresses.at('streams.metrics')}/").text
    assert 'triune_stream_events_total{stream="rides",result="applied"}' in page
    assert 'triune_stream_latency_seconds_count{stream="rides"}' in page

    def told() -> bool:
        ranges = [s.event.payload for s in context.ledger.select(Query(kind="stream.consumed"))]
        return sum(one["last"] - one["first"] + 1 for one in ranges) >= 300

    wait_until(told, timeout=60, what="the ranges are in the ledger")
    assert context.ledger.coverage().share == 1.0


def test_mistakes_are_told_before_anything_is_sent(context: Context) -> None:
    bad = [*streams.rides(0, 2), {"id": 3, "driver": 7}]
    with pytest.raises(Refused, match="event 3") as caught:
        context.streams.publish("rides", bad)
    assert caught.value.reference == "event-invalid"
    for act, reference in (
        (lambda: context.streams.spec("ride"), "stream-unknown"),
        (lambda: list(context.streams.recorded("rides")), "stream-has-no-recording"),
    ):
        with pytest.raises(NotFound) as missing:
            act()
        assert missing.value.reference == reference
    path = context.workspace.root / "triune.toml"
    path.write_text(
        path.read_text().replace("most = {", "mosst = {").replace('"fare", w', '"fair", w')
    )
    with pytest.raises(ConfigError) as wrong:
        Context(type(context.workspace)(context.workspace.root)).streams.spec("rides")
    assert {problem.key.rpartition(".")[2] for problem in wrong.value.problems} >= {"most", "mosst"}


def test_topics_come_back_with_a_backup(context: Context, tmp_path: Path) -> None:
    events = streams.rides(0, 300)
    end = streams.EPOCH + timedelta(seconds=100)
    context.streams.publish("rides", events, until=end)
    context.streams.advance("rides", end)
    context.streams.settle("rides")
    context.backups.run()
    context.streams.publish("rides", streams.rides(300, 400))  # after the point
    context.streams.settle("rides")
    services.down(context)
    into = tmp_path / "restored"
    context.backups.restore(into)
    restored = Context(Workspace(into))
    try:
        services.up(restored)
        restored.streams.settle("rides", timeout=60)
        for driver in ("d0", "d3"):
            assert online(restored, driver) == streams.wanted(events, driver, end)
        assert restored.streams.replay("rides").cleared == 5  # from the topic alone
        restored.streams.settle("rides", timeout=60)
        wait_until(
            lambda: online(restored, "d3") == streams.wanted(events, "d3", end),
            timeout=60,
            what="the replay has come to the same",
        )
    finally:
        restored.close()
        clear(restored.workspace)
