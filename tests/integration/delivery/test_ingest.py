"""The ingester on a real ledger, with a log written like Envoy writes it, and by Envoy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.accesslog import LogWriter, failed, open_ledger, served
from tests.support.delivery import ENDPOINT, Stage
from triune.core.errors import Unavailable
from triune.core.ids import new_id
from triune.core.waiting import wait_until
from triune.delivery.gateway.backends.envoy_bootstrap import access_log
from triune.delivery.ingest import Ingester
from triune.ledger.ports import Query
from triune.ledger.service import Ledger

SERVED = Query(kind="prediction.served")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    made = open_ledger(tmp_path)
    yield made
    made.close()


@pytest.fixture
def log(tmp_path: Path) -> Iterator[LogWriter]:
    writer = LogWriter(tmp_path / "access.log")
    yield writer
    writer.close()


def ingester(log: LogWriter, ledger: Ledger, rotate_bytes: int = 1 << 30) -> Ingester:
    return Ingester(
        log.path,
        ledger,
        log.reopen,
        workspace="flights",
        status=log.path.with_name("ingest.json"),
        rotate_bytes=rotate_bytes,
    )


def drain(reader: Ingester) -> None:
    while reader.step():
        pass


def test_each_line_is_one_event_also_when_it_is_read_again(ledger: Ledger, log: LogWriter) -> None:
    ids = [new_id() for _ in range(50)]
    for prediction in ids:
        log.write(served(prediction))
    log.write(failed())
    drain(ingester(log, ledger))
    again = ingester(log, ledger)
    drain(again)
    assert [stored.event.id for stored in ledger.select(SERVED)] == ids
    assert ledger.count(Query(kind="request.failed")) == 1
    assert dict(again.counts) == {"lines": 51, "served": 50, "failed": 1}
    edges = ledger.parents([f"prediction:{ids[0]}"])
    assert [edge.parent for edge in edges] == ["release:flights-delay@0123456789ab"]


def test_a_lost_position_doubles_nothing(ledger: Ledger, log: LogWriter, tmp_path: Path) -> None:
    log.write(served() + failed())
    drain(ingester(log, ledger))
    copy = tmp_path / "copy"
    log.path.rename(copy)
    log.path.write_bytes(copy.read_bytes())
    drain(ingester(log, ledger))
    assert (ledger.count(SERVED), ledger.count(Query(kind="request.failed"))) == (1, 1)


def test_half_a_line_waits_for_its_other_half(ledger: Ledger, log: LogWriter) -> None:
    reader = ingester(log, ledger)
    whole = served()
    log.write(served() + whole[:40])
    drain(reader)
    assert ledger.count(SERVED) == 1
    log.write(whole[40:])
    drain(reader)
    assert ledger.count(SERVED) == 2
    assert "malformed" not in reader.counts


def test_malformed_lines_are_counted_and_put_aside(ledger: Ledger, log: LogWriter) -> None:
    reader = ingester(log, ledger)
    log.write(b"what is this\n" + served() + b"\xff\xfe\n")
    drain(reader)
    assert reader.counts["malformed"] == 2
    assert ledger.count(SERVED) == 1
    aside = log.path.with_name("access.log.malformed").read_bytes().splitlines()
    assert aside[0].endswith(b" what is this")
    assert len(aside) == 2


def test_a_full_log_is_rotated_and_nothing_is_lost_or_doubled(
    ledger: Ledger, log: LogWriter
) -> None:
    reader = ingester(log, ledger, rotate_bytes=4000)
    ids = [new_id() for _ in range(400)]
    for number, prediction in enumerate(ids):
        log.write(served(prediction))
        if number % 3 == 0:
            reader.step()
    drain(reader)
    while reader.step() or log.path.with_name("access.log.old").exists():
        log.write(b"")
    assert [stored.event.id for stored in ledger.select(SERVED)] == ids
    assert log.path.stat().st_size < 8000


def test_what_a_killed_gateway_left_half_written_at_a_rotation_is_reported(
    ledger: Ledger, log: LogWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "reopen", lambda: None)
    reader = ingester(log, ledger, rotate_bytes=1)
    log.write(served())
    reader.step()
    log.write(served() + b'{"torn')
    drain(reader)
    log.close()
    fresh = LogWriter(log.path)
    fresh.write(served())
    for _ in range(6):
        reader.step()
    fresh.close()
    assert ledger.count(SERVED) == 3
    assert reader.counts["malformed"] == 1


def test_a_gateway_that_cannot_be_told_to_reopen_is_told_again(
    ledger: Ledger, log: LogWriter
) -> None:
    calls = []

    def reopen() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise Unavailable("gateway-unreachable", "away")
        log.reopen()

    reader = Ingester(
        log.path,
        ledger,
        reopen,
        workspace="flights",
        status=log.path.with_name("s.json"),
        rotate_bytes=1,
    )
    log.write(served())
    with pytest.raises(Unavailable):
        reader.step()
    reader.step()
    log.write(served())
    for _ in range(4):
        reader.step()
    assert ledger.count(SERVED) == 2
    assert len(calls) >= 2


@pytest.mark.engine
def test_what_goes_through_envoy_is_in_the_ledger(stage: Stage) -> None:
    release = stage.release("delay@1")
    live = stage.delivery.start(ENDPOINT, release).state.live
    assert live is not None
    answers = [stage.call(x_triune_unit=f"u{n}", x_triune_release="spoofed") for n in range(30)]
    stage.behave(live, "error")
    stage.call()
    stage.call("/nowhere")
    reader = Ingester(
        access_log(stage.envoy_folder),
        stage.ledger,
        stage.gateway.reopen_logs,
        workspace="stage",
        status=stage.root / "ingest.json",
        rotate_bytes=2000,
    )
    wait_until(
        lambda: reader.step() == 0 and reader.counts.get("lines", 0) >= 32,
        timeout=10,
        what="all lines are read",
    )
    stored = {s.event.id: s.event for s in stage.ledger.select(SERVED)}
    assert set(stored) == {answer.headers["x-triune-prediction"] for answer in answers}
    assert {event.payload["unit"] for event in stored.values()} == {f"u{n}" for n in range(30)}
    assert {event.payload["release"] for event in stored.values()} == {release}
    assert {event.payload["arm"] for event in stored.values()} == {"stable"}
    assert all(event.payload["duration_ms"] > 0 for event in stored.values())
    (failure,) = stage.events("request.failed")
    assert (failure.subject, failure.payload["status"]) == (release, 500)
    assert reader.counts["rejected"] == 1
    stage.call("/nowhere")
    wait_until(
        lambda: reader.step() == 0 and reader.counts["rejected"] == 2,
        timeout=10,
        what="the line after the rotation is read",
    )
