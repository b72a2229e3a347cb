"""`triune rollout start`: what it follows, what it says, and how it ends, over fake use cases."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support import rollout_views as made
from triune.cli.main import main
from triune.cli.rollout_plan import steps_of
from triune.core.rollout_config import RolloutTable, Strategy
from triune.delivery.release import Change
from triune.delivery.rollout.history import Traffic
from triune.delivery.rollout.model import Definition, Ticket, define
from triune.delivery.rollout.planning import RolloutPlan, StepPlan
from triune.delivery.rollout.view import RolloutView
from triune.delivery.service import Plan
from triune.delivery.state import Arm, Colour, EndpointState
from triune.operations.services.model import ProcessState, ProcessStatus

Call = Callable[..., tuple[int, str, str]]
SMOKED = made.made(
    "rollout.smoked",
    made.RELEASE,
    payload={
        "rollout": made.ROLLOUT,
        "results": [
            {"name": "signature", "passed": True, "words": "sha256:12ab"},
            {"name": "contract", "passed": True, "words": ""},
        ],
    },
)
PLAN = Plan(
    endpoint=made.ENDPOINT,
    release=made.RELEASE,
    model="model:delay@2",
    colour=Colour.GREEN,
    previous=made.STABLE,
    changes=(Change("model", "model:delay@1", "model:delay@2"),),
    steps=(
        "start model:delay@2 as green",
        "warm it with example requests",
        "run the generic smoke tests and the workspace's own",
        "switch all traffic at once",
        f"keep {made.STABLE} for the rollback window",
    ),
)
EXPECTED = RolloutPlan(
    endpoint=made.ENDPOINT,
    strategy=Strategy.CANARY,
    traffic=Traffic(600.0, 120_000, 1_200, 4_000, 0, 3.1, 6.0, 11.9),
    p0=0.01,
    p1=0.02,
    alpha=0.01,
    steps=(
        StepPlan(1.0, 2.0, 300.0, None, None, 0.21),
        StepPlan(5.0, 10.0, 300.0, 420.0, 900.0, 0.97),
    ),
    total_s=720.0,
    warnings=("These metrics do not roll back by themselves: latency-p99.",),
)


@dataclass
class FakeRollouts:
    """The use cases: a rollout that stands like each of ``views`` in turn."""

    views: list[RolloutView] = field(default_factory=lambda: [made.blue_green()])
    table: RolloutTable | None = None
    started: list[tuple[str, str, Strategy | None]] = field(default_factory=list)
    interrupted: bool = False

    def definition(self, endpoint: str, strategy: Strategy | None = None) -> Definition:
        return define(self.table, strategy)

    def start(self, endpoint: str, ref: str, *, strategy: Strategy | None = None) -> Ticket:
        self.started.append((endpoint, ref, strategy))
        return Ticket(endpoint, made.ROLLOUT)

    def view(self, endpoint: str, rollout: str | None = None) -> RolloutView:
        return self.views[0]

    def follow(self, ticket: Ticket, on_view: Callable[[RolloutView], None]) -> RolloutView:
        for view in self.views:
            on_view(view)
        if self.interrupted:
            raise KeyboardInterrupt
        return self.views[-1]

    def plan(self, endpoint: str, **options: Any) -> RolloutPlan:
        return EXPECTED


@pytest.fixture
def rollouts() -> FakeRollouts:
    return FakeRollouts()


@pytest.fixture
def running() -> list[str]:
    return ["controller", "temporal"]


@pytest.fixture
def call(
    rollouts: FakeRollouts,
    running: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Call:
    (tmp_path / "triune.toml").write_text("[workspace]\nname = 'test'\n")
    live = Arm(made.STABLE, Colour.BLUE, 1, "arm-flights-delay-blue")
    now = EndpointState(made.ENDPOINT, live=live)
    release = SimpleNamespace(ref=made.RELEASE, bundle=SimpleNamespace(endpoint=made.ENDPOINT))
    context = SimpleNamespace(
        rollouts=rollouts,
        ledger=made.Log([SMOKED]),
        delivery=SimpleNamespace(
            tools=SimpleNamespace(store=SimpleNamespace(load=lambda endpoint: now)),
            releases=SimpleNamespace(get=lambda ref: release),
            plan=lambda endpoint, ref: replace(PLAN, release=ref),
        ),
        supervisor=SimpleNamespace(
            status=lambda: [ProcessStatus(n, ProcessState.RUNNING, True, 42) for n in running]
        ),
        workspace=SimpleNamespace(config=SimpleNamespace(services={})),
        close=lambda: None,
    )
    monkeypatch.setattr("triune.app.context.Context", lambda workspace: context)

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["-w", str(tmp_path), "rollout", "start", made.ENDPOINT, *arguments])
        return int(ended.value.code or 0), *capsys.readouterr()

    return run


def test_without_a_table_it_is_blue_green_and_followed(call: Call, rollouts: FakeRollouts) -> None:
    rollouts.views = [
        made.blue_green("starting", sentence="Its process starts."),
        made.blue_green("smoking", sentence="Its smoke tests run."),
        made.blue_green(),
    ]
    code, out, err = call(made.RELEASE)
    assert code == 0
    assert rollouts.started == [(made.ENDPOINT, made.RELEASE, None)]
    assert "starting Its process starts." in err
    assert "promoted The candidate serves all users." in err
    assert "signature   sha256:12ab" in out
    assert "contract    passed" in out
    assert f"flights/delay serves {made.RELEASE} after" in out


def test_as_json_a_followed_one_has_its_smoke_tests(call: Call) -> None:
    code, out, err = call(made.RELEASE, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert (found["outcome"], found["smoke"][0]["name"]) == ("promoted", "signature")
    assert found["seconds"] >= 0.0


def test_a_canary_is_left_to_the_controller(call: Call, rollouts: FakeRollouts) -> None:
    rollouts.table = RolloutTable()
    rollouts.views = [made.canary(phase="starting", looks=0)]
    code, out, _ = call(made.RELEASE)
    assert code == 0
    assert out.splitlines()[0] == f"flights/delay: the canary of {made.RELEASE} has begun"
    assert "next: triune rollout watch flights/delay" in out
    assert "!" not in out
    _, out, _ = call(made.RELEASE, "--json")
    assert json.loads(out)["rollout"] == made.ROLLOUT


@pytest.mark.parametrize("running", [["temporal"]])
def test_a_canary_that_nothing_moves_says_so(
    call: Call, rollouts: FakeRollouts, running: list[str]
) -> None:
    code, out, _ = call(made.RELEASE, "--strategy", "canary")
    assert code == 0
    assert "! Controller does not run, and nothing moves without it" in out
    assert rollouts.started[0][2] is Strategy.CANARY


def test_a_canary_can_be_followed_to_its_end(call: Call, rollouts: FakeRollouts) -> None:
    rollouts.table = RolloutTable()
    rollouts.views = [made.canary(), made.rolled_back()]
    code, _, err = call(made.RELEASE, "--wait")
    assert code == 8
    assert "canary step 2 of 4" in err
    assert "error[rollout-rolled-back]" in err


def test_a_blue_green_need_not_be_followed(call: Call, rollouts: FakeRollouts) -> None:
    rollouts.views = [made.blue_green("starting")]
    code, out, _ = call(made.RELEASE, "--no-wait")
    assert (code, "has begun" in out) == (0, True)


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_refused_one_ends_as_a_failed_check(
    call: Call, rollouts: FakeRollouts, options: tuple[str, ...]
) -> None:
    why = {"test": "latency", "words": "p99 is 81 ms"}
    rollouts.views = [made.blue_green(outcome="refused", why=why)]
    code, out, err = call(made.RELEASE, *options)
    assert code == 8
    if options:
        assert json.loads(out)["error"] == "rollout-refused"
        return
    assert "signature   sha256:12ab" in out
    assert f"error[rollout-refused]: {made.RELEASE} failed latency: p99 is 81 ms" in err


def test_an_interruption_leaves_the_rollout_running_and_says_so(
    call: Call, rollouts: FakeRollouts
) -> None:
    rollouts.interrupted = True
    code, _, err = call(made.RELEASE)
    assert code == 130
    assert "the rollout goes on without this command" in err
    assert "triune rollout abort flights/delay" in err


def test_a_dry_run_of_a_canary_has_its_steps_and_times(call: Call, rollouts: FakeRollouts) -> None:
    code, out, _ = call(made.RELEASE, "--strategy", "canary", "--dry-run")
    assert code == 0
    assert rollouts.started == []
    assert "move 1, 5, 25, 50 % of the units, each for at least 5 min and 100 requests" in out
    assert "switch all traffic at once" not in out
    assert "model    model:delay@1  model:delay@2" in out
    assert "97 %" in out
    assert "! These metrics do not roll back by themselves" in out
    _, out, _ = call(made.RELEASE, "--strategy", "canary", "--dry-run", "--json")
    found = json.loads(out)
    assert (found["strategy"], len(found["canary"]["steps"])) == ("canary", 2)


def test_a_dry_run_of_what_serves_already_is_refused_like_the_start(call: Call) -> None:
    code, _, err = call(made.STABLE, "--dry-run")
    assert code == 9
    assert "error[release-already-live]" in err


def test_an_unknown_strategy_names_the_known_ones(call: Call) -> None:
    code, _, err = call(made.RELEASE, "--strategy", "rainbow")
    assert code == 2
    assert "blue-green" in err


def test_the_steps_are_those_of_the_strategy() -> None:
    assert steps_of(PLAN, define(None)) == list(PLAN.steps)
    shadow = steps_of(PLAN, define(None, Strategy.SHADOW))
    assert shadow[3:] == [
        "mirror 100 % of the requests, compare 1000 answers",
        "stop it again: no user sees any of its answers",
    ]
    both = steps_of(PLAN, define(RolloutTable(shadow_pairs=50, steps=(10.0,))))
    assert both[3:] == [
        "mirror 100 % of the requests, compare 50 answers",
        "move 10 % of the units, each for at least 5 min and 100 requests",
        "move all traffic",
        f"keep {made.STABLE} for the rollback window",
    ]
    assert steps_of(replace(PLAN, previous=None), define(RolloutTable()))[-2] == PLAN.steps[3]


def test_the_steps_of_a_plan_have_the_switch_that_strategies_replace() -> None:
    from triune.delivery import service

    assert PLAN.steps[3] in Path(service.__file__).read_text()
