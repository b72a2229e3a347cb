"""``triune events``, ``triune lineage`` and ``triune ledger`` on a workspace with a story."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import typer

from tests.support.events import made, served, whole_story
from tests.support.keyboard import INTERRUPTIBLE
from triune.cli.main import main
from triune.cli.moments import moment
from triune.core.workspace import Workspace
from triune.ledger.journal import Journal
from triune.ledger.service import Ledger

PREDICTION = "0192aaaa-0000-7000-8000-000000000002"
RELEASE = "release:flights-delay@dddddddddddd"
Call = Callable[..., tuple[int, str, str]]


def open_ledger(workspace: Workspace) -> Ledger:
    url = f"sqlite:///{workspace.ledger_path}"
    return Ledger.open(url, workspace.journal, workspace="test")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "triune.toml").write_text('[workspace]\nname = "test"\n')
    found = Workspace(tmp_path)
    ledger = open_ledger(found)
    ledger.record(whole_story())
    ledger.close()
    return found


@pytest.fixture
def call(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> Call:
    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["--workspace", str(workspace.root), *arguments])
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return run


def as_json(call: Call, *arguments: str) -> Any:
    code, out, err = call(*arguments)
    assert code == 0, err
    return json.loads(out)


def test_events_are_shown_oldest_first_the_newest_fifty(call: Call, workspace: Workspace) -> None:
    ledger = open_ledger(workspace)
    ledger.record([served(n) for n in range(60)])
    ledger.close()
    found = as_json(call, "events", "--json")
    assert len(found) == 50
    assert [one["sequence"] for one in found] == list(range(20, 70))
    assert len(as_json(call, "events", "--limit", "0", "--json")) == 69


def test_an_event_in_json_has_all_of_it(call: Call) -> None:
    (one,) = as_json(call, "events", "--kind", "model.registered", "--json")
    assert one["subject"] == "model:delay@1"
    assert one["time"] == "2026-01-01T00:00:06+00:00"
    assert one["edges"][0]["role"] == "run"
    assert {"id", "actor", "workspace", "version", "payload", "causes"} <= set(one)


def test_events_are_filtered(call: Call) -> None:
    kinds = [one["kind"] for one in as_json(call, "events", "-k", "run.*", "--json")]
    assert kinds == ["run.started", "run.finished"]
    assert len(as_json(call, "events", "-s", RELEASE, "--json")) == 1
    assert as_json(call, "events", "--actor", "service:none", "--json") == []
    since = as_json(call, "events", "--since", "2026-01-01T00:00:07+00:00", "--json")
    assert [one["kind"] for one in since] == ["release.created", "prediction.served"]
    until = as_json(call, "events", "--until", "2026-01-01T00:00:01+00:00", "--json")
    assert [one["kind"] for one in until] == ["dataset.versioned"]


def test_events_as_a_table_name_kind_and_subject(call: Call) -> None:
    code, out, _ = call("events", "--kind", "commit.recorded")
    assert code == 0
    assert "commit.recorded" in out
    assert "sha=c0ffee" in out


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("events", "--kind", "run.strated"), 6, "Did you mean 'run.started'?"),
        (("events", "--kind", "nothing.*"), 2, "no event kind begins with"),
        (("events", "--since", "soon"), 2, "neither like 10m"),
        (("lineage",), 2, "give a reference or --coverage"),
        (("lineage", "x", "--coverage"), 2, "one of the two"),
        (("lineage", "run:unknown"), 5, "lineage-unknown"),
        (("ledger", "downgrade", "0001"), 6, "ledger-downgrade-unconfirmed"),
        (("ledger", "downgrade", "7", "--yes"), 6, "ledger-revision-unknown"),
    ],
)
def test_mistakes_are_named(call: Call, arguments: tuple[str, ...], code: int, words: str) -> None:
    ended, _, err = call(*arguments)
    assert ended == code
    assert words in " ".join(err.split())


def test_events_that_only_wait_in_a_dead_journal_are_shown(
    call: Call, workspace: Workspace
) -> None:
    journal = Journal(workspace.journal)
    journal.append(made("loop.started", "loop:left-behind"))
    journal.close()
    (one,) = as_json(call, "events", "--kind", "loop.started", "--json")
    assert one["subject"] == "loop:left-behind"


def test_follow_prints_each_event_once_as_it_comes(workspace: Workspace) -> None:
    triune = [*INTERRUPTIBLE, sys.executable, "-m", "triune.cli.main"]
    command = [*triune, "events", "-f", "--json", "-k", "loop.*"]
    follower = subprocess.Popen(command, cwd=workspace.root, stdout=subprocess.PIPE, text=True)
    assert follower.stdout is not None
    ledger = open_ledger(workspace)
    try:
        ledger.append(made("loop.started", "loop:1"))
        first = json.loads(follower.stdout.readline())
        begin = time.monotonic()
        ledger.append(served(1))
        ledger.append(made("loop.finished", "loop:1"))
        second = json.loads(follower.stdout.readline())
        assert time.monotonic() - begin < 5
        assert [first["kind"], second["kind"]] == ["loop.started", "loop.finished"]
    finally:
        follower.send_signal(signal.SIGINT)
        rest, _ = follower.communicate(timeout=20)
        ledger.close()
    assert rest == ""
    assert follower.returncode == 130


def test_lineage_of_a_bare_prediction_id_is_a_tree_of_facts(call: Call) -> None:
    code, out, _ = call("lineage", PREDICTION)
    assert code == 0
    for word in ("prediction:", RELEASE, "model:delay@1", "run:0192aaaa", "commit:c0ffee"):
        assert word in out
    assert "metrics: auc=0.7" in out
    assert "complete: 8 nodes, no gap" in out


def test_lineage_in_json_nests_parents(call: Call) -> None:
    found = as_json(call, "lineage", PREDICTION, "--json")
    assert found["complete"] is True
    release = found["tree"]["parents"][0]
    assert release["reference"] == RELEASE
    assert {parent["role"] for parent in release["parents"]} == {"commit", "features", "model"}


def test_lineage_names_gaps(call: Call, workspace: Workspace) -> None:
    ledger = open_ledger(workspace)
    ledger.record([made("model.registered", "model:odd@1", parents={"run:lost": "run"})])
    ledger.close()
    code, out, _ = call("lineage", "model:odd@1")
    assert code == 0
    assert "run:lost" in out
    assert "not recorded" in out
    assert "no environment is known that it was made from" in out
    code, out, err = call("lineage", "--coverage")
    assert code == 8
    assert "5 of 6 artifacts complete" in out
    assert "lineage-incomplete" in err
    code, out, _ = call("lineage", "--coverage", "--json")
    assert code == 8
    assert [one["reference"] for one in json.loads(out)["incomplete"]] == ["model:odd@1"]


def test_lineage_as_openlineage(call: Call) -> None:
    found = as_json(call, "lineage", PREDICTION, "--format", "openlineage")
    assert len(found) == 7
    assert {one["eventType"] for one in found} == {"START", "COMPLETE"}


def test_descendants_count_predictions(call: Call, workspace: Workspace) -> None:
    ledger = open_ledger(workspace)
    ledger.record([served(n, RELEASE) for n in range(4)])
    ledger.close()
    code, out, _ = call("lineage", "dataset:flights@aaaaaaaaaaaa", "--descendants")
    assert code == 0
    assert RELEASE in out
    assert "5 predictions" in out
    found = as_json(call, "lineage", RELEASE, "--descendants", "--json", "--limit", "3")
    assert (len(found["edges"]), found["limited"]) == (3, True)


def test_ledger_commands(call: Call) -> None:
    assert as_json(call, "ledger", "info", "--json")["events"] == 9
    assert call("ledger", "verify")[:2] == (0, "The ledger is sound.\n")
    code, out, _ = call("ledger", "downgrade", "base", "--dry-run")
    assert (code, "DROP TABLE events" in out) == (0, True)
    assert as_json(call, "ledger", "info", "--json")["events"] == 9
    assert call("ledger", "downgrade", "0001", "--yes")[0] == 0
    assert call("ledger", "verify")[0] == 8
    code, out, _ = call("ledger", "verify", "--json")
    assert (code, json.loads(out)["sound"]) == (8, False)
    assert "from 0001 to revision 0002" in call("ledger", "upgrade")[1]
    assert "at revision 0002 already" in call("ledger", "upgrade")[1]
    assert "revision" in call("ledger", "info")[1]


def test_moments() -> None:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    day = 86_400_000_000
    midnight = 1_767_312_000_000_000
    assert moment("", now=now) is None
    assert moment("1d", now=now) == midnight - day
    assert moment("1.5h", now=now) == midnight - day * 1.5 // 24
    assert moment("2026-01-02T00:00Z") == midnight
    with pytest.raises(typer.BadParameter):
        moment("10")


def test_events_import_neither_sqlalchemy_nor_alembic(workspace: Workspace) -> None:
    code = (
        "import sys\nfrom triune.cli.main import main\n"
        "try:\n    main(['events', '--json'])\n"
        "except SystemExit:\n    print('LOADED', *sorted(sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, check=True, cwd=workspace.root, env=dict(os.environ),
    )  # fmt: skip
    loaded = set(done.stdout.partition("LOADED")[2].split())
    assert not loaded & {"sqlalchemy", "alembic", "psycopg", "mlflow", "rich.table", "pandas"}
