"""The commands of `triune rollout` on a workspace with a rollout in its files; no engine runs."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from tests.support import rollout_views as made
from triune.cli.main import main
from triune.core.config import slug
from triune.core.rollout_config import MetricName, Strategy
from triune.core.workspace import Workspace
from triune.delivery.rollout.model import (
    Action,
    Look,
    MetricState,
    Progress,
    Record,
    define,
)
from triune.delivery.rollout.store import RecordStore
from triune.delivery.rollout.verdict import Verdict
from triune.delivery.state import (
    Arm,
    Colour,
    Ending,
    EndpointState,
    Outcome,
    Pending,
    Phase,
)
from triune.delivery.store import EndpointStore
from triune.ledger.envelope import Event
from triune.ledger.service import Ledger
from triune.stats.harm import HarmState

Call = Callable[..., tuple[int, str, str]]

CONFIG = """
[workspace]
name = "test"
[endpoints."flights/delay"]
model = "delay"
[endpoints."flights/delay".rollout]
strategy = "canary"
[endpoints."flights/other"]
model = "delay"
"""
PENDING = Pending(
    Phase.CANARY,
    Arm(made.RELEASE, Colour.GREEN, 1, "arm-flights-delay-green"),
    made.ROLLOUT,
    "mark",
    "user:ada",
    strategy=Strategy.CANARY,
    weight=500,
)


def record(strategy: Strategy = Strategy.CANARY, *, looked: bool = True) -> Record:
    seen = {MetricName.ERRORS: MetricState(HarmState(53, (), -0.887), n_a=46_170, n_b=2_430)}
    reason = "1090 of 100 requests, 110 of 300 s"
    return Record(
        rollout=made.ROLLOUT,
        endpoint=made.ENDPOINT,
        release=made.RELEASE,
        stable=made.STABLE,
        actor="user:ada",
        started=made.BEGUN,
        definition=define(None, strategy),
        progress=Progress(step=1, looks=53, gaps=1, step_requests=1090, exposed=2902, metrics=seen)
        if looked
        else Progress(),
        last=Look(made.BEGUN + 530, 53, Verdict.NOT_YET, Action.HOLD, reason, -0.9)
        if looked
        else None,
    )


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    (tmp_path / "triune.toml").write_text(CONFIG)
    yield Workspace(tmp_path)
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def call(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> Call:
    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["--workspace", str(workspace.root), "rollout", *arguments])
        return int(ended.value.code or 0), *capsys.readouterr()

    return run


def stands(workspace: Workspace, kept: Record, now: EndpointState) -> None:
    RecordStore(workspace.state / "rollouts").save(kept)
    EndpointStore(workspace.state / "endpoints").save(now)


def told(workspace: Workspace, *events: Event) -> None:
    url = f"sqlite:///{workspace.ledger_path}"
    ledger = Ledger.open(url, workspace.journal, workspace="test")
    ledger.record(list(events))
    ledger.close()


@pytest.fixture
def canary(workspace: Workspace) -> Workspace:
    """A canary at 5 %, 53 looks in the ledger; nothing listens at the live arm's port."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        live = Arm(made.STABLE, Colour.BLUE, bound.getsockname()[1], "arm-flights-delay-blue")
        stands(workspace, record(), EndpointState(made.ENDPOINT, live=live, pending=PENDING))
        started = made.made(
            "rollout.started",
            made.RELEASE,
            payload={
                "endpoint": made.ENDPOINT,
                "rollout": made.ROLLOUT,
                "previous": made.STABLE,
                "strategy": "canary",
            },
        )
        told(workspace, started, *made.looks())
        yield workspace  # type: ignore[misc]


@pytest.fixture
def ended(workspace: Workspace) -> Workspace:
    """The same canary after it was rolled back."""
    why = dict(made.rolled_back().why)
    last = Ending(made.ROLLOUT, made.RELEASE, Outcome.ROLLED_BACK, why)
    live = Arm(made.STABLE, Colour.BLUE, 1, "arm-flights-delay-blue")
    stands(workspace, record(), EndpointState(made.ENDPOINT, live=live, last=last))
    told(workspace, *made.looks(bad=True))
    return workspace


READERS = (
    ("status", made.ENDPOINT),
    ("watch", made.ENDPOINT, "--once"),
    ("explain", made.ENDPOINT),
    ("plan", made.ENDPOINT),
    ("history", made.ENDPOINT),
)


@pytest.mark.usefixtures("canary")
def test_status_shows_the_rollout_beside_what_serves(call: Call) -> None:
    code, out, _ = call("status", made.ENDPOINT)
    assert code == 0
    facts = dict(line.split(maxsplit=1) for line in out.splitlines()[1:])
    assert facts["phase"].startswith("canary: A share of the units")
    assert facts["serves"] == made.STABLE
    assert facts["step"] == "2 of 4: 5 % of the units; 1090 of 100 requests, 0 s of 5 min"
    assert facts["verdict"] == "not yet: 1090 of 100 requests, 110 of 300 s"
    assert "of 100 that roll back, after 53 looks, 1 of them without read" in facts["evidence"]
    assert facts["exposed"] == "2 902 answers, 0 of them errors"


@pytest.mark.usefixtures("canary")
def test_status_lists_endpoints_without_a_rollout_too(call: Call) -> None:
    _, out, _ = call("status")
    assert "flights/delay\n" in out
    assert "flights/other\nphase   empty: Nothing has been released" in out
    _, out, _ = call("status", "--json")
    first, second = json.loads(out)
    assert (first["rollout"]["weight"], first["rollout"]["over"]) == (5.0, False)
    assert second["rollout"] is None


def test_status_needs_no_ledger(canary: Workspace, call: Call) -> None:
    canary.ledger_path.write_bytes(b"no database at all")
    code, out, _ = call("status", made.ENDPOINT, "--json")
    assert (code, json.loads(out)[0]["rollout"]["phase"]) == (0, "canary")


def test_a_pause_and_its_end_need_nothing_that_runs(canary: Workspace, call: Call) -> None:
    code, out, _ = call("pause", made.ENDPOINT, "--reason", "lunch")
    assert (code, out) == (0, "flights/delay is paused at 5 % of the units\n")
    _, out, _ = call("status", made.ENDPOINT)
    assert ": lunch" in out
    code, out, _ = call("resume", made.ENDPOINT, "--reason", "fed", "--json")
    assert (code, json.loads(out)["paused"]) == (0, None)
    gates = RecordStore(canary.state / "rollouts").gates(made.ENDPOINT, made.ROLLOUT)
    assert gates.paused is None


def test_a_promotion_is_a_wish_the_controller_finds(canary: Workspace, call: Call) -> None:
    _, out, _ = call("promote", made.ENDPOINT, "--reason", "urgent", "--dry-run")
    assert "this would move the other 95 % of the units to release:flights-delay@3f2a" in out
    assert "the verdict is not yet" in out
    records = RecordStore(canary.state / "rollouts")
    assert records.gates(made.ENDPOINT, made.ROLLOUT).promote is None
    code, out, _ = call("promote", made.ENDPOINT, "--reason", "urgent")
    assert code == 0
    assert "next: triune rollout watch flights/delay" in out
    promise = records.gates(made.ENDPOINT, made.ROLLOUT).promote
    assert promise is not None
    assert promise.reason == "urgent"


@pytest.mark.parametrize(
    ("phase", "words"),
    [
        (Phase.SMOKING, "stop release:flights-delay@3f2a9c01b7de before any user sees it"),
        (Phase.CANARY, "return 5 % of the units to release:flights-delay@8b11d07e55aa and stop"),
        (Phase.RETIRING, "change nothing"),
    ],
)
def test_an_abort_can_be_asked_for_before_it_is_done(
    canary: Workspace, call: Call, phase: Phase, words: str
) -> None:
    store = EndpointStore(canary.state / "endpoints")
    store.save(replace(store.load(made.ENDPOINT), pending=replace(PENDING, phase=phase)))
    arguments = ("abort", made.ENDPOINT, "--reason", "x", "--dry-run")
    code, out, _ = call(*arguments)
    assert (code, f"this would {words}" in out) == (0, True), out
    assert f"users would get {made.STABLE}" in out
    _, out, _ = call(*arguments, "--json")
    assert json.loads(out)["then"] == made.STABLE


def test_an_abort_of_a_promoted_one_would_go_back(canary: Workspace, call: Call) -> None:
    store = EndpointStore(canary.state / "endpoints")
    now = store.load(made.ENDPOINT)
    served = replace(
        now, live=PENDING.arm, previous=now.live, rollout=made.ROLLOUT, pending=None,
        last=Ending(made.ROLLOUT, made.RELEASE, Outcome.PROMOTED),
    )  # fmt: skip
    store.save(served)
    _, out, _ = call("abort", made.ENDPOINT, "--reason", "x", "--dry-run")
    assert "is watching: this would return all traffic" in out
    assert f"users would get {made.STABLE}" in out


@pytest.mark.usefixtures("ended")
@pytest.mark.parametrize("gate", ["pause", "resume", "promote"])
def test_a_rollout_that_is_over_takes_no_gates(call: Call, gate: str) -> None:
    code, _, err = call(gate, made.ENDPOINT, "--reason", "x")
    assert code == 9
    assert "error[rollout-over]" in err


@pytest.mark.parametrize("reader", [*READERS[1:3]])
def test_before_the_first_rollout_the_next_step_is_said(call: Call, reader: tuple[str]) -> None:
    code, _, err = call(*reader)
    assert code == 5
    assert "error[rollout-none]" in err
    assert "triune rollout start" in err


@pytest.mark.parametrize("command", [reader[0] for reader in READERS])
def test_an_endpoint_that_is_not_there_is_named(call: Call, command: str) -> None:
    code, out, _ = call(command, "flights/nowhere", "--json")
    error = json.loads(out)
    assert (code, error["error"]) == (5, "endpoint-not-declared")
    assert "flights/delay" in error["hint"]


@pytest.mark.usefixtures("ended")
def test_watch_ends_at_once_when_the_rollout_has(call: Call) -> None:
    code, out, _ = call("watch", made.ENDPOINT)
    assert code == 0
    assert len(out.splitlines()) == 54
    assert out.splitlines()[-1].startswith("rolled-back: All users are back")
    _, out, _ = call("watch", made.ENDPOINT, "--json")
    assert [json.loads(line)["number"] for line in out.splitlines()] == list(range(1, 54))


@pytest.mark.usefixtures("canary")
def test_watch_once_is_the_picture_or_the_view(call: Call) -> None:
    code, out, _ = call("watch", made.ENDPOINT, "--once")
    assert code == 0
    assert "step 2 of 4: 5 % of the units, next 25 %" in out
    assert "e-value (- decides: 100)" in out
    assert "\x1b" not in out
    _, out, _ = call("watch", made.ENDPOINT, "--once", "--json")
    view = json.loads(out)
    assert (view["rollout"], view["looks"]) == (made.ROLLOUT, 53)
    assert view["metrics"][0]["rate_b"] == 0.0


@pytest.mark.usefixtures("ended")
def test_explain_says_why_and_shows_the_evidence(call: Call) -> None:
    code, out, _ = call("explain", made.ENDPOINT)
    assert code == 0
    assert "was rolled back from flights/delay: the candidate makes errors worse" in out
    assert "metric       candidate" in out
    assert "e-value (- decides: 100)" in out
    _, out, _ = call("explain", made.ENDPOINT, "--json")
    found = json.loads(out)
    assert found["sentences"][0].startswith(made.RELEASE)
    assert len(found["looks"]) == 53
    assert found["view"]["outcome"] == "rolled-back"


@pytest.mark.usefixtures("canary")
def test_plan_without_traffic_says_so(call: Call) -> None:
    code, out, _ = call("plan", made.ENDPOINT, "--from", "1%", "--to", "2%")
    assert code == 0
    assert "flights/delay: canary" in out
    assert "traffic     none in the last minutes" in out
    assert "errors rise from 1 % to 2 %" in out
    assert "in all at least: without traffic it does not end" in out
    _, out, _ = call("plan", made.ENDPOINT, "--json")
    found = json.loads(out)
    assert (found["traffic"]["rate"], found["total_s"]) == (0.0, None)
    assert len(found["steps"]) == 4


def test_a_rate_that_is_none_is_a_usage_error(call: Call) -> None:
    code, out, _ = call("plan", made.ENDPOINT, "--from", "5", "--json")
    assert code == 2
    assert "write 5%" in json.loads(out)["message"] or "write 1%" in json.loads(out)["message"]


@pytest.mark.usefixtures("canary")
def test_history_lists_what_was_begun(call: Call) -> None:
    code, out, _ = call("history")
    assert code == 0
    assert "under way" in out
    _, out, _ = call("history", made.ENDPOINT, "--json")
    (one,) = json.loads(out)
    assert (one["release"], one["outcome"], one["actor"]) == (made.RELEASE, "under way", "user:ada")


def test_without_any_rollout_history_says_the_next_step(call: Call) -> None:
    code, out, _ = call("history")
    assert (code, out.startswith("no rollout yet; `triune rollout start")) == (0, True)


def test_a_broken_record_is_named(canary: Workspace, call: Call) -> None:
    path = canary.state / "rollouts" / f"{slug(made.ENDPOINT)}.json"
    path.write_text("{")
    code, out, _ = call("status", made.ENDPOINT, "--json")
    assert code == 6
    assert json.loads(out)["context"] == str(path)


@pytest.mark.usefixtures("canary")
@pytest.mark.parametrize("reader", [reader for reader in READERS if reader[0] != "watch"])
def test_every_reader_prints_one_json_value(call: Call, reader: tuple[str, ...]) -> None:
    code, out, _ = call(*reader, "--json")
    assert code == 0
    assert json.loads(out)


def test_records_of_tests_read_back_as_they_were_written() -> None:
    assert msgspec.json.decode(msgspec.json.encode(record()), type=Record) == record()
