"""Flows: retries that wait longer each time, a history, and times that were missed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.data import MemoryLog
from triune.core.config import parse
from triune.core.cron import due, following
from triune.core.errors import ConfigError, Conflict, NotFound, Refused
from triune.core.files import locked
from triune.core.flow_config import FlowTable
from triune.core.workspace import Workspace
from triune.data.flows import runner
from triune.data.flows.model import Part
from triune.data.flows.service import Flows, failed

TOML = '[workspace]\nname = "x"\n[flows.nightly]\nretries = 2\nretry_delay_s = 0.0\n'
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Work:
    """Fails so often, then works."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.done = 0

    def __call__(self) -> str:
        if self.failures:
            self.failures -= 1
            raise Refused("table-broken", "no good")
        self.done += 1
        return "good"


def flows(folder: Path, parts: Sequence[Part], toml: str = TOML) -> Flows:
    (folder / "triune.toml").write_text(toml)
    return Flows(Workspace(folder), MemoryLog(), lambda _: parts, prefect=False)


def test_a_part_is_tried_again_with_longer_and_longer_pauses() -> None:
    pauses: list[float] = []
    table = FlowTable(retries=3, retry_delay_s=10.0)
    (result,) = runner.alone([Part("a", Work(3))], table, lambda _: None, pauses.append)
    assert (result.ok, result.attempts, pauses) == (True, 4, [10.0, 20.0, 40.0])


def test_the_first_part_that_fails_for_good_ends_the_flow(tmp_path: Path) -> None:
    after = Work(0)
    made = flows(tmp_path, [Part("a", Work(0)), Part("b", Work(9)), Part("c", after)])
    result = made.run("nightly")
    assert [(p.name, p.ok, p.attempts) for p in result.parts] == [("a", True, 1), ("b", False, 3)]
    assert after.done == 0
    error = failed(result)
    assert error is not None
    assert "table-broken: no good" in error.message
    (run,) = made.history("nightly")
    assert (run.ok, run.words) == (False, "table-broken: no good")


def test_a_part_that_hangs_is_late() -> None:
    import threading

    release = threading.Event()
    table = FlowTable(retries=0, timeout_s=0.05)
    (result,) = runner.alone([Part("a", lambda: str(release.wait(30)))], table, lambda _: None)
    release.set()
    assert (result.ok, result.words.partition(":")[0]) == (False, "flow-part-late")


def test_one_run_at_a_time_and_an_unknown_flow(tmp_path: Path) -> None:
    made = flows(tmp_path, [])
    with (
        locked(Workspace(tmp_path).state / "flows" / "nightly.lock"),
        pytest.raises(Conflict) as busy,
    ):
        made.run("nightly")
    assert busy.value.reference == "already-running"
    with pytest.raises(NotFound, match="nightli"):
        made.run("nightli")


def test_missed_times_count_once(tmp_path: Path) -> None:
    made = flows(tmp_path, [Part("a", Work(0))], TOML + 'schedule = "0 * * * *"\n')
    assert made.due(NOON, NOON + timedelta(minutes=59)) == []
    assert made.due(NOON, NOON + timedelta(hours=9)) == ["nightly"]
    made.run("nightly")
    now = datetime.now(UTC)
    assert made.due(NOON, now) == []
    assert made.next_time("nightly", NOON) == NOON + timedelta(hours=1)
    assert following("17 * * * *", NOON) == NOON + timedelta(minutes=17)
    assert not due("17 * * * *", None, NOON)


def test_a_schedule_that_is_none_is_a_mistake_in_the_configuration() -> None:
    table = {"workspace": {"name": "x"}, "flows": {"a": {"schedule": "every day", "check": ["b"]}}}
    with pytest.raises(ConfigError) as caught:
        parse(table)
    told = [str(problem) for problem in caught.value.problems]
    assert any("cron" in one for one in told)
    assert any("no dataset" in one for one in told)
