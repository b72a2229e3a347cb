"""What a command that follows a rollout says: each phase once, and what keeps it from moving."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from tests.support import rollout_views as made
from triune.cli.rollout_follow import Following, check_ended, smoked
from triune.cli.rollout_standstill import Standstill, undriven
from triune.core.errors import CheckFailed, Unavailable
from triune.operations.services.model import ProcessState, ProcessStatus


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def following(why: str = "") -> tuple[Following, Clock, io.StringIO]:
    clock, heard = Clock(), io.StringIO()
    console = Console(file=heard, width=200, color_system=None)
    return Following(Standstill(lambda: why, clock), console=console), clock, heard


def context(**running: bool | None) -> Any:
    """A context whose supervisor runs these: True ready, False not yet, None dead."""
    statuses = [
        ProcessStatus(name, ProcessState.RUNNING, bool(ready), None if ready is None else 42)
        for name, ready in running.items()
    ]
    services = {"temporal": SimpleNamespace(enabled=True)}
    return SimpleNamespace(
        supervisor=SimpleNamespace(status=lambda: tuple(statuses)),
        workspace=SimpleNamespace(config=SimpleNamespace(services=services)),
    )


def test_each_phase_is_said_once_with_its_sentence() -> None:
    follow, _, heard = following()
    with follow:
        for phase in ("starting", "starting", "warming", "smoking"):
            follow(made.blue_green(phase, sentence=f"It is {phase}."))
        follow(made.blue_green())
    assert [line.split()[0] for line in heard.getvalue().splitlines()] == [
        "starting", "warming", "smoking", "promoted",
    ]  # fmt: skip
    assert "starting It is starting." in heard.getvalue()
    assert "promoted The candidate serves all users." in heard.getvalue()


def test_steps_and_pauses_of_a_canary_are_said() -> None:
    follow, _, heard = following()
    follow(made.canary(step=0, weight=0.0))
    assert heard.getvalue() == ""
    follow(made.canary(step=0, weight=1.0))
    follow(made.canary())
    follow(made.canary(paused=made.PAUSE))
    follow(made.rolled_back())
    words = heard.getvalue()
    assert "step 1 of 4: 1 % of the units" in words
    assert "step 2 of 4: 5 % of the units" in words
    assert "by user:ada: the on-call asks to wait" in words
    assert "The candidate makes errors worse (e-value 163)." in words


def test_a_rollout_that_does_not_move_says_why_once() -> None:
    follow, clock, heard = following("controller does not run")
    for clock.now in (0.0, 14.0, 15.0, 31.0, 90.0):
        follow(made.blue_green("starting"))
    (line,) = [line for line in heard.getvalue().splitlines() if "waiting" in line]
    assert line.split(maxsplit=1)[1] == "Controller does not run."


def test_while_all_that_moves_it_runs_nothing_is_said() -> None:
    follow, clock, heard = following("")
    for clock.now in (0.0, 16.0, 40.0):
        follow(made.blue_green("starting"))
    assert "waiting" not in heard.getvalue()


def test_what_moves_again_is_said_anew_when_it_stops_again() -> None:
    follow, clock, heard = following("temporal does not run")
    for clock.now, looks in ((0.0, 1), (16.0, 1), (17.0, 2), (33.0, 2)):
        follow(made.canary(looks=looks, next_at=1.0))
    assert heard.getvalue().count("Temporal does not run.") == 2


def test_between_two_looks_nothing_needs_to_move() -> None:
    follow, clock, heard = following("controller does not run")
    far = made.canary(next_at=4e9)
    for clock.now in (0.0, 500.0):
        follow(far)
    assert "waiting" not in heard.getvalue()


def test_a_quiet_one_says_only_what_it_waits_for(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with Following(Standstill(lambda: "controller does not run", clock), quiet=True) as follow:
        for clock.now in (0.0, 20.0):
            follow(made.blue_green("starting"))
    out, err = capsys.readouterr()
    assert (out, err.split()) == ("", ["waiting", "Controller", "does", "not", "run."])


@pytest.mark.parametrize(
    ("running", "words"),
    [
        ({}, "controller does not run"),
        ({"temporal": True}, "controller does not run"),
        ({"controller": None, "temporal": True}, "controller does not run"),
        ({"controller": True}, "temporal does not run"),
        ({"controller": False, "temporal": True}, "controller is not ready"),
        ({"controller": True, "temporal": True}, ""),
    ],
)
def test_what_moves_rollouts_is_named_when_it_does_not_run(
    running: dict[str, bool | None], words: str
) -> None:
    found = undriven(context(**running))
    assert found.startswith(words)
    assert bool(found) == bool(words)


def test_what_is_switched_off_is_named() -> None:
    off = context(controller=True)
    off.workspace.config.services["temporal"] = SimpleNamespace(enabled=False)
    assert undriven(off).startswith("temporal is switched off in triune.toml")


def test_a_rollout_that_reached_its_end_is_no_error() -> None:
    check_ended(context(), made.blue_green())
    check_ended(context(), made.shadowed(phase="over", outcome="compared"))


def test_a_refusal_names_the_test_and_its_words() -> None:
    bundle = SimpleNamespace(endpoint=made.ENDPOINT)
    release = SimpleNamespace(ref=made.RELEASE, bundle=bundle)
    surroundings = context()
    surroundings.delivery = SimpleNamespace(releases=SimpleNamespace(get=lambda ref: release))
    view = made.blue_green(outcome="refused", why={"test": "latency", "words": "p99 is 81 ms"})
    with pytest.raises(CheckFailed) as failed:
        check_ended(surroundings, view)
    error = failed.value
    assert (error.reference, error.context) == ("rollout-refused", made.ENDPOINT)
    assert error.message == f"{made.RELEASE} failed latency: p99 is 81 ms"


def test_an_abort_before_traffic_names_who_and_why() -> None:
    why = {"test": "aborted", "words": "wrong release", "by": "user:ada"}
    with pytest.raises(CheckFailed) as failed:
        check_ended(context(), made.blue_green(outcome="refused", why=why))
    assert failed.value.reference == "rollout-refused"
    assert failed.value.message == f"user:ada aborted {made.RELEASE}: wrong release"


def test_a_rollback_names_its_evidence() -> None:
    with pytest.raises(CheckFailed) as failed:
        check_ended(context(), made.rolled_back())
    assert failed.value.reference == "rollout-rolled-back"
    assert "makes errors worse" in failed.value.message
    assert failed.value.hint is not None
    assert "triune rollout explain flights/delay" in failed.value.hint


def test_one_that_never_began_is_an_error() -> None:
    with pytest.raises(Unavailable, match="before it began"):
        check_ended(context(), made.blue_green(outcome="never-begun"))


def test_the_smoke_tests_results_come_from_the_event() -> None:
    results = [{"name": "contract", "passed": True, "words": ""}]
    told = made.made("rollout.smoked", made.RELEASE, payload={
        "rollout": made.ROLLOUT, "results": results,
    })  # fmt: skip
    surroundings = context()
    surroundings.ledger = made.Log([told])
    assert smoked(surroundings, made.blue_green()) == results


def test_without_the_ledger_there_are_no_results() -> None:
    def down(query: object) -> object:
        raise Unavailable("ledger-unreachable", "the ledger does not answer")

    surroundings = context()
    surroundings.ledger = SimpleNamespace(select=down)
    assert smoked(surroundings, made.blue_green()) == []
