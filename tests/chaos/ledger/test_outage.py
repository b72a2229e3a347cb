"""PostgreSQL stopped, killed and started again while events are appended."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.events import made
from tests.support.postgres import Postgres, running
from triune.core.errors import Unavailable
from triune.ledger.service import Ledger

pytestmark = pytest.mark.engine


@pytest.fixture
def server() -> Iterator[Postgres]:
    with running() as postgres:
        yield postgres


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT, signal.SIGKILL])
def test_an_outage_delays_and_loses_nothing(tmp_path: Path, server: Postgres, how: int) -> None:
    ledger = Ledger.open(server.url, tmp_path, workspace="test")
    for n in range(300):
        ledger.append(made(subject=f"run:before-{n}"))
    server.stop(how)
    for n in range(300):
        ledger.append(made(subject=f"run:during-{n}"))
    with pytest.raises(Unavailable) as late:
        ledger.flush(timeout=0.5)
    assert late.value.reference == "ledger-flush-timeout"
    with pytest.raises(Unavailable) as gone:
        ledger.record([made()])
    assert gone.value.reference == "ledger-unreachable"
    server.start()
    for n in range(300):
        ledger.append(made(subject=f"run:after-{n}"))
    ledger.flush(60)
    subjects = [stored.event.subject for stored in ledger.select()]
    expected = [f"run:{when}-{n}" for when in ("before", "during", "after") for n in range(300)]
    assert subjects == expected
    ledger.close()


def test_a_restart_between_two_calls_is_not_noticed(tmp_path: Path, server: Postgres) -> None:
    ledger = Ledger.open(server.url, tmp_path, workspace="test")
    ledger.record([made()])
    server.stop()
    server.start()
    assert ledger.count() == 1
    server.stop()
    server.start()
    assert ledger.record([made()]) == 1
    ledger.close()


def test_a_ledger_that_dies_during_the_outage_leaves_its_events(
    tmp_path: Path, server: Postgres
) -> None:
    ledger = Ledger.open(server.url, tmp_path, workspace="test")
    ledger.record([made()])
    server.stop()
    ledger.append(made(subject="run:left"))
    ledger.close(timeout=0.2)
    server.start()
    heir = Ledger.open(server.url, tmp_path, workspace="test")
    heir.flush()
    assert heir.count() == 2
    heir.close()


def test_a_patient_ledger_opens_while_its_database_is_away(
    tmp_path: Path, server: Postgres
) -> None:
    server.stop(signal.SIGKILL)
    ledger = Ledger.open(server.url, tmp_path, workspace="test", patient=True)
    ledger.append(made(subject="run:meanwhile"))
    with pytest.raises(Unavailable) as away:
        ledger.count()
    assert away.value.reference == "ledger-unreachable"
    server.start()
    ledger.flush(60)
    assert ledger.count() == 1
    ledger.close()


def test_what_a_patient_ledger_could_not_store_is_left_to_the_next(
    tmp_path: Path, server: Postgres
) -> None:
    server.stop(signal.SIGKILL)
    ledger = Ledger.open(server.url, tmp_path, workspace="test", patient=True)
    ledger.append(made(subject="run:left"))
    ledger.close()
    server.start()
    heir = Ledger.open(server.url, tmp_path, workspace="test")
    heir.flush()
    assert heir.count() == 1
    heir.close()
