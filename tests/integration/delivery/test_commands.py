"""The commands ``triune release`` and ``triune rollout``, over a real gateway."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.delivery import ENDPOINT, Stage, registered
from tests.support.rollouts import RolloutStage, rolling
from triune.cli.main import main

pytestmark = pytest.mark.engine


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[RolloutStage]:
    """Blue-green, as an endpoint without a table of its own has it, driven by the controller."""
    with rolling(tmp_path, rollout="") as made:
        yield made


@pytest.fixture
def run(
    stage: RolloutStage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Any:
    """Run a command in the stage's workspace; its exit code, its output, as JSON or text."""
    from triune.app.context import Context

    monkeypatch.setattr(Context, "delivery", property(lambda self: stage.delivery))
    monkeypatch.setattr(Context, "rollouts", property(lambda self: stage.rollouts))

    def command(*arguments: str) -> tuple[int, Any]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["--workspace", str(stage.root), *arguments])
        output = capsys.readouterr().out
        value = json.loads(output) if "--json" in arguments else output
        return int(ended.value.code or 0), value

    return command


@pytest.fixture
def models(stage: Stage) -> None:
    for name, behaviour in (("delay@1", "ok"), ("delay@2", "ok"), ("delay@3", "wrong-rows")):
        stage.models.add(name, behaviour)
        stage.ledger.record([registered(name)])


def create(run: Any, model: str) -> str:
    code, made = run("release", "create", ENDPOINT, "--model", model, "--json")
    assert code == 0
    return str(made["release"])


@pytest.mark.usefixtures("models")
def test_releases_are_made_listed_shown_and_compared(run: Any) -> None:
    first, second = create(run, "delay@1"), create(run, "delay@2")
    _, listed = run("release", "list", "--json")
    assert [release["ref"] for release in listed] == [second, first]
    _, shown = run("release", "show", first, "--json")
    assert (shown["release"], shown["model"]["ref"]) == (first, "model:delay@1")
    _, changes = run("release", "diff", first, second, "--json")
    assert {change["key"] for change in changes} == {"model.ref"}
    for arguments in (("list",), ("show", first), ("diff", first, second)):
        code, text = run("release", *arguments)
        assert (code, "delay@1" in text) == (0, True)


@pytest.mark.usefixtures("models")
def test_a_rollout_is_planned_started_shown_and_rolled_back(run: Any, stage: Stage) -> None:
    first, second = create(run, "delay@1"), create(run, "delay@2")
    code, text = run("rollout", "start", ENDPOINT, first)
    assert (code, f"{ENDPOINT} serves {first}" in text) == (0, True)
    code, plan = run("rollout", "start", ENDPOINT, second, "--dry-run", "--json")
    assert (code, plan["previous"], plan["colour"]) == (0, first, "green")
    assert stage.served() == first
    code, done = run("rollout", "start", ENDPOINT, second, "--json")
    assert (code, done["outcome"], done["release"]) == (0, "promoted", second)
    assert stage.served() == second
    assert all(result["passed"] for result in done["smoke"])
    code, (status,) = run("rollout", "status", ENDPOINT, "--json")
    assert (status["phase"], status["ready"]) == ("watching", True)
    code, text = run("rollout", "status")
    assert "kept for the rollback window" in text
    code, text = run("rollout", "rollback", ENDPOINT, "--reason", "a whim")
    assert (code, stage.served()) == (0, first)


@pytest.mark.usefixtures("models")
def test_failures_have_their_exit_codes(run: Any) -> None:
    bad = create(run, "delay@3")
    code, error = run("rollout", "start", ENDPOINT, bad, "--json")
    assert (code, error["error"]) == (8, "rollout-refused")
    code, error = run("rollout", "rollback", ENDPOINT, "--reason", "none", "--json")
    assert (code, error["error"]) == (6, "rollback-no-previous")
    code, error = run("release", "show", "release:flights-delay@000000000000", "--json")
    assert (code, error["error"]) == (5, "release-not-found")
    code, error = run("release", "create", "flights/nowhere", "--model", "delay@1", "--json")
    assert (code, error["error"]) == (5, "endpoint-not-declared")
