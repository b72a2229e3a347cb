"""A replay against a real HTTP server and a real ledger: nothing is lost, nothing is doubled."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.answering import Endpoint, answering
from triune.app.context import Context
from triune.app.replay import Summary, records
from triune.app.replay.background import Background
from triune.app.replay.service import Settings, replay
from triune.core.errors import NotFound, TriuneError
from triune.core.waiting import wait_until
from triune.core.workspace import Workspace
from triune.ledger.ports import Query

TOML = """
[workspace]
name = "shop"

[endpoints."shop/late"]
model = "late"
inputs = [{ name = "x", datatype = "FP32" }, { name = "city", datatype = "BYTES" }]
traffic = "%s:requests"
"""

TRAFFIC = """
from datetime import UTC, datetime, timedelta
from triune.app.replay import Request

def requests(data):
    for i in range(50):
        yield Request(
            unit=f"unit-{i % 7}",
            at=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=i),
            inputs={"x": [i / 50], "city": ["Oslo"]},
            outcome=None if i % 5 == 4 else float(i > 25),
            outcome_delay_s=3600.0,
            outcome_name="late",
        )
"""


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with answering() as server:
        yield server


@pytest.fixture
def ctx(tmp_path: Path) -> Iterator[Context]:
    context = Context(_workspace(tmp_path, TRAFFIC))
    yield context
    context.close()


def _workspace(folder: Path, code: str) -> Workspace:
    module = f"traffic_{abs(hash((str(folder), code)))}"
    (folder / "src").mkdir()
    (folder / "src" / f"{module}.py").write_text(code)
    (folder / "triune.toml").write_text(TOML % module)
    return Workspace(folder)


def _accounts_for_all(summary: Summary) -> bool:
    return summary.sent == summary.good + summary.failed + summary.lost


def test_every_request_is_answered_and_recorded_once(ctx: Context, endpoint: Endpoint) -> None:
    begin = time.monotonic()
    summary = replay(ctx, "shop/late", Settings(rate=200, seconds=1.0, url=endpoint.url))
    assert 0.9 < time.monotonic() - begin < 20
    assert summary.sent == summary.good == len(endpoint.units)
    assert summary.sent == 200
    assert summary.in_flight == 0
    assert summary.rounds == 1 + (summary.sent - 1) // 50  # begun again when the data ended

    found = list(records.read(Path(summary.records)))
    assert sorted(record.number for record in found) == list(range(summary.sent))
    assert {record.prediction for record in found} == set(endpoint.predictions)
    assert found[0].unit == endpoint.units[0] == "unit-0"
    assert {record.arm for record in found} == {"blue"}
    assert all(record.score == pytest.approx((record.number % 50) / 50) for record in found)
    assert endpoint.bodies[1]["inputs"] == [
        {"name": "x", "shape": [1], "datatype": "FP32", "data": [0.02]},
        {"name": "city", "shape": [1], "datatype": "BYTES", "data": ["Oslo"]},
    ]


def test_outcomes_reach_the_ledger_once_each_with_what_was_predicted(
    ctx: Context, endpoint: Endpoint
) -> None:
    settings = Settings(rate=200, seconds=0.6, hour_seconds=0.1, url=endpoint.url)
    summary = replay(ctx, "shop/late", settings)
    found = list(records.read(Path(summary.records)))
    known = {record.prediction: record for record in found if record.outcome is not None}

    events = [stored.event for stored in ctx.ledger.select(Query(kind="outcome.observed"))]
    assert len(events) == len(known) == summary.outcomes < summary.sent
    assert {event.subject for event in events} == {f"prediction:{key}" for key in known}
    for event in events:
        record = known[event.subject.removeprefix("prediction:")]
        assert event.payload == {
            "endpoint": "shop/late",
            "unit": record.unit,
            "name": "late",
            "value": record.outcome,
            "predicted": record.score,
        }
        if record.sent < found[-1].sent - 300_000:  # the end tells the rest at once
            assert event.time >= record.sent + 90_000  # a tenth of a second stands for an hour


def test_errors_are_counted_for_what_they_are_and_never_sent_again(
    ctx: Context, endpoint: Endpoint
) -> None:
    endpoint.plan = lambda n: (503, False) if 40 < n <= 70 else (200, n > 100)
    summary = replay(ctx, "shop/late", Settings(rate=100, seconds=1.2, url=endpoint.url))
    assert (summary.sent, summary.good, summary.failed, summary.lost) == (120, 70, 30, 20)
    assert _accounts_for_all(summary)
    assert summary.sent == len(endpoint.units)
    assert summary.releases[endpoint.release].failed == summary.failed
    lost = [record for record in records.read(Path(summary.records)) if not record.answered]
    assert len(lost) == summary.lost
    assert all(record.error for record in lost)


def test_the_loop_is_open_slow_answers_do_not_slow_the_sending(
    ctx: Context, endpoint: Endpoint
) -> None:
    endpoint.delay = 0.5
    summary = replay(ctx, "shop/late", Settings(rate=100, seconds=1.0, url=endpoint.url))
    found = list(records.read(Path(summary.records)))
    assert summary.good == summary.sent == 100
    span = (max(r.sent for r in found) - min(r.sent for r in found)) / 1e6
    assert span < 10  # a closed loop with one connection would take fifty seconds


def test_a_process_stops_on_sigterm_with_everything_answered(
    ctx: Context, endpoint: Endpoint
) -> None:
    endpoint.delay = 0.2
    settings = Settings(rate=100, hour_seconds=60, url=endpoint.url)
    background = Background.start(ctx.workspace, "shop/late", settings)
    try:
        background.wait_for(lambda s: s.good > 20, what="answers")
        os.kill(background.process.pid, signal.SIGTERM)
        assert background.process.wait(20) == 0
        summary = background.stop()
    finally:
        background.process.kill()
    assert summary.finished
    assert summary.sent == summary.good == len(endpoint.predictions)
    assert summary.outcomes > 0  # none was due yet; the end tells them all
    assert ctx.ledger.count(Query(kind="outcome.observed")) == summary.outcomes


def test_a_process_ends_with_whoever_started_it(ctx: Context, endpoint: Endpoint) -> None:
    background = Background.start(ctx.workspace, "shop/late", Settings(rate=50, url=endpoint.url))
    try:
        background.wait_for(lambda s: s.good > 0, what="answers")
        assert background.process.stdin is not None
        background.process.stdin.close()  # what the kernel does when the starter dies
        assert background.process.wait(20) == 0
    finally:
        background.process.kill()


def test_killed_with_kill_9_the_gaps_in_the_records_say_what_is_missing(
    ctx: Context, endpoint: Endpoint
) -> None:
    background = Background.start(ctx.workspace, "shop/late", Settings(rate=100, url=endpoint.url))
    background.wait_for(lambda s: s.good > 30, what="answers")
    os.kill(background.process.pid, signal.SIGKILL)
    background.process.wait()
    found = [record.number for record in records.read(background.records)]
    assert len(found) == len(set(found)) > 0
    assert len(found) <= len(endpoint.units)
    with pytest.raises(TriuneError) as caught:
        background.stop()
    assert caught.value.reference == "replay-ended"


def test_a_replay_that_cannot_begin_says_why(tmp_path: Path) -> None:
    workspace = _workspace(tmp_path, "def requests(data):\n    raise OSError('no table')\n")
    background = Background.start(workspace, "shop/late", Settings(url="http://127.0.0.1:9/"))
    wait_until(lambda: background.process.poll() is not None, timeout=30, what="its end")
    summary = background.summary()
    assert summary is not None
    assert "no table" in summary.error


@pytest.mark.parametrize(
    ("endpoint_name", "reference"), [("shop/other", "endpoint-unknown"), ("", "endpoint-unknown")]
)
def test_unknown_endpoints_are_named(ctx: Context, endpoint_name: str, reference: str) -> None:
    with pytest.raises(NotFound) as caught:
        replay(ctx, endpoint_name)
    assert caught.value.reference == reference


def test_empty_traffic_is_an_error(tmp_path: Path) -> None:
    context = Context(_workspace(tmp_path, "def requests(data):\n    return iter(())\n"))
    try:
        with pytest.raises(TriuneError) as caught:
            replay(context, "shop/late", Settings(url="http://127.0.0.1:9/"))
        assert caught.value.reference == "traffic-empty"
    finally:
        context.close()
