"""`triune train`, `runs`, `models` and `reproduce` as a person types them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from triune.app.context import Context
from triune.app.train import Trained
from triune.core.workspace import Workspace

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("training")]


def triune(
    workspace: Workspace, *arguments: str, code: int = 0
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "triune.cli.main", *arguments],
        check=False,
        capture_output=True,
        text=True,
        cwd=workspace.root,
        env={**os.environ, "COLUMNS": "200"},
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


def read(workspace: Workspace, *arguments: str, code: int = 0) -> Any:
    return json.loads(triune(workspace, *arguments, "--json", code=code).stdout)


@pytest.fixture(scope="module")
def short(workspace: Workspace, trained: Trained) -> str:
    """The id of another run, trained by the command."""
    done = read(workspace, "train", "fit", "-p", "steps=1", "--no-register")
    assert done["version"] is None
    return str(done["run"]["id"])


def test_runs_are_listed_filtered_and_sorted(
    workspace: Workspace, trained: Trained, short: str
) -> None:
    found = read(workspace, "runs", "--sort", "accuracy", "--where", "params.regularisation=1.0")
    assert [run["id"] for run in found] == [trained.run.id, short]
    assert read(workspace, "runs", "list", "--where", "accuracy>0.99") == []
    table = triune(workspace, "runs", "--sort", "accuracy").stdout
    assert trained.run.id[-8:] in table
    assert "accuracy" in table
    wrong = read(workspace, "runs", "--where", "accuracy", code=6)
    assert wrong["error"] == "run-filter-invalid"


def test_a_run_is_shown_and_compared(workspace: Workspace, trained: Trained, short: str) -> None:
    shown = read(workspace, "runs", "show", trained.run.id[-8:])
    assert shown["metrics"]["accuracy"] == trained.run.metrics["accuracy"]
    assert len(shown["history"]["accuracy"]) == 5
    assert trained.run.ref in triune(workspace, "runs", "show", trained.run.id).stdout
    rows = {r["name"]: r for r in read(workspace, "runs", "compare", trained.run.id, short)}
    assert (rows["param steps"]["first"], rows["param steps"]["second"]) == (5, 1)
    assert not rows["param steps"]["same"]
    assert rows["dataset"]["same"]
    assert "param steps" in triune(workspace, "runs", "compare", trained.run.id, short).stdout
    assert read(workspace, "runs", "show", "nobody", code=5)["error"] == "run-not-found"


def test_models_are_listed_aliased_verified_and_shown(
    workspace: Workspace, context: Context, trained: Trained
) -> None:
    assert read(workspace, "models", "alias", "points@1", "champion")["aliases"] == ["champion"]
    assert [v["ref"] for v in read(workspace, "models", "list")] == ["model:points@1"]
    assert read(workspace, "models", "verify", "points@champion")["ref"] == "model:points@1"
    assert read(workspace, "models", "show", "points")["facts"]["version"] == 1
    assert triune(workspace, "models", "card", "points").stdout.startswith("# points version 1")
    assert "model:points@1" in triune(workspace, "models", "list").stdout
    assert "champion" in triune(workspace, "models", "show", "points@1").stdout
    again = read(workspace, "models", "register", trained.run.id)
    assert again["ref"] == "model:points@1"
    assert read(workspace, "models", "verify", "points@9", code=5)["error"] == "model-not-found"


def test_a_run_is_reproduced_and_a_different_one_exits_8(
    workspace: Workspace, trained: Trained
) -> None:
    told = triune(workspace, "reproduce", trained.run.id).stdout
    assert f"{trained.run.ref}: identical" in told
    assert "bit for bit" in told
    source = workspace.root / "src/tiny/train.py"
    before = source.read_text()
    source.write_text(before.replace("    noise = ", "    np.random.seed()\n    noise = "))
    run = read(workspace, "train", "fit", "-p", "steps=1", "--no-register")["run"]["id"]
    source.write_text(before)
    judged = read(workspace, "reproduce", run, code=8)
    assert judged["verdict"] == "different"
    assert judged["findings"]


def test_a_wrong_parameter_is_a_usage_error(workspace: Workspace) -> None:
    told = triune(workspace, "train", "fit", "-p", "steps=many", code=2).stderr
    assert "steps takes int" in told
    assert "KEY=VALUE" in triune(workspace, "train", "fit", "-p", "steps", code=2).stderr


def test_everything_is_shipped_on_demand(workspace: Workspace, short: str) -> None:
    triune(workspace, "runs", "sync")
    assert read(workspace, "runs", "sync") == {"runs": 0}
    assert all(run["mlflow_id"] for run in read(workspace, "runs"))
