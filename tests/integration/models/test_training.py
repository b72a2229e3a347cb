"""From data to a registered model that MLflow loads, and back again from the records."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.tiny_workspace import commit_all
from triune.app.context import Context
from triune.app.reproduce import reproduce
from triune.app.tracker import sync
from triune.app.train import Trained, train
from triune.core.errors import NotFound, Refused, TriuneError
from triune.core.ids import key_of
from triune.core.workspace import Workspace
from triune.ledger.ports import Query
from triune.models.reproduce import Verdict
from triune.models.tracking.model import RunRecord, RunStatus

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("training")]


def _roots(context: Context, ref: str) -> set[str]:
    edges = context.ledger.ancestors(ref)
    children = {edge.child for edge in edges}
    return {key_of(e.parent).partition("@")[0] for e in edges if e.parent not in children}


def test_a_training_records_all_it_was_made_from(context: Context, trained: Trained) -> None:
    run, version = trained.run, trained.version
    assert version is not None
    assert run.status is RunStatus.FINISHED
    assert run.params == {"steps": 5, "regularisation": 1.0}
    assert run.details["seed"] == "7"
    assert [role for _, role in run.inputs] == ["dataset", "features", "commit", "environment"]
    assert len(context.runs.history(run.id)["accuracy"]) == 5
    kinds = {
        stored.event.kind
        for ref in [run.ref, version.ref, *(ref for ref, _ in run.inputs)]
        for stored in context.ledger.select(Query(subject=ref))
    }
    assert kinds >= {
        "dataset.versioned",
        "features.defined",
        "commit.recorded",
        "environment.recorded",
        "run.started",
        "run.finished",
        "model.registered",
    }
    commit = run.input("commit")
    assert commit is not None
    assert "+dirty" not in commit
    roots = _roots(context, version.ref)
    assert roots == {"points", key_of(commit), key_of(run.input("environment") or "")}


def test_the_version_loads_as_an_mlflow_model_and_answers_the_same(
    context: Context, trained: Trained
) -> None:
    version = trained.version
    assert version is not None
    context.registry.verify(version.ref)
    program = (
        "import json, sys, mlflow.pyfunc, pandas as pd\n"
        "model = mlflow.pyfunc.load_model(sys.argv[1] + '/mlflow')\n"
        "rows = pd.DataFrame(json.load(open(sys.argv[1] + '/example.json'))['inputs'])\n"
        "print(json.dumps(model.predict(rows).tolist()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(version.folder)],
        check=True,
        capture_output=True,
        text=True,
        cwd="/",
        env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"},
    )
    answers = trained.run.artifacts["answers.json"]
    kept = context.workspace.runs / trained.run.id / "artifacts" / "answers.json"
    assert answers.startswith("sha256:")
    assert json.loads(done.stdout) == json.loads(kept.read_text())["answers"]
    assert "Tells points above the diagonal" in version.card.read_text()
    assert "Points only." in version.card.read_text()
    context.registry.verify(version.ref)


def test_everything_is_in_mlflow_afterwards(context: Context, trained: Trained) -> None:
    sync(context)
    assert trained.version is not None
    from mlflow import MlflowClient

    uri = context.addresses.mlflow_tracking_uri
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    found = context.ledger.runs.get(trained.run.id)
    assert found is not None and found.mlflow_id is not None
    run = client.get_run(found.mlflow_id)
    assert run.info.status == "FINISHED"
    assert run.data.params == {"steps": "5", "regularisation": "1.0"}
    history = client.get_metric_history(found.mlflow_id, "accuracy")
    assert (
        tuple((m.step, m.value) for m in history)
        == (context.runs.history(trained.run.id)["accuracy"])
    )
    for tag, role in (("triune.dataset", "dataset"), ("triune.environment", "environment")):
        assert run.data.tags[tag] == trained.run.input(role)
    commit = key_of(trained.run.input("commit") or "")
    assert run.data.tags["mlflow.source.git.commit"] == commit
    names = {item.path for item in client.list_artifacts(found.mlflow_id)}
    assert {"model", "example.json", "output.log"} <= names
    version = client.get_model_version("points", "1")
    assert version.run_id == found.mlflow_id
    assert version.description.startswith("# points version 1")
    assert Path(version.source.removeprefix("file://"), "MLmodel").is_file()


def test_a_run_done_again_is_identical(context: Context, trained: Trained) -> None:
    done = reproduce(context, trained.run.id)
    assert done.verdict is Verdict.IDENTICAL, done.findings
    assert done.environment == ()
    assert [line.partition(" ")[0] for line in done.compared[:2]] == ["6", "40"]
    (stored,) = context.ledger.select(Query(kind="run.reproduced", subject=trained.run.ref))
    assert stored.event.payload["verdict"] == "identical"
    assert list((context.workspace.home / "reproduce").iterdir()) == []


def test_a_dirty_run_is_done_again_from_its_difference(context: Context) -> None:
    source = context.workspace.root / "src/tiny/train.py"
    before = source.read_text()
    source.write_text(before.replace("scale=1e-3", "scale=1e-2"))
    (source.parent / "more.py").write_text("x = 1\n")
    run = train(context, "fit", params={"steps": 2}, register=False).run
    source.write_text(before)
    (source.parent / "more.py").unlink()
    assert "+dirty." in (run.input("commit") or "")
    assert reproduce(context, run.id).verdict is Verdict.IDENTICAL


def test_another_seed_is_different_and_says_where(context: Context) -> None:
    source = context.workspace.root / "src/tiny/train.py"
    before = source.read_text()
    source.write_text(before.replace("    noise = ", "    np.random.seed()\n    noise = "))
    run = train(context, "fit", params={"steps": 2}, register=False).run
    source.write_text(before)
    done = reproduce(context, run.id)
    assert done.verdict is Verdict.DIFFERENT
    assert "metric weight sum" in {finding.where for finding in done.findings}
    near = reproduce(context, run.id, tolerance=0.5)
    assert near.verdict is Verdict.WITHIN_TOLERANCE


def test_a_failing_training_is_recorded_with_its_reason(context: Context) -> None:
    with pytest.raises(TriuneError) as failed:
        train(context, "broken")
    assert failed.value.reference == "training-failed"
    assert "no such column" in failed.value.message
    assert "Traceback" in (failed.value.context or "")
    (run,) = context.runs.search(limit=1)
    assert (run.name, run.status) == ("broken", "failed")
    with pytest.raises(Refused) as refusal:
        reproduce(context, run.id)
    assert refusal.value.reference == "run-not-reproducible"


def test_mistakes_are_said_before_anything_runs(context: Context) -> None:
    count = len(list(context.runs.folders.ids()))
    with pytest.raises(NotFound) as unknown:
        train(context, "fitt")
    assert unknown.value.reference == "training-unknown"
    with pytest.raises(Refused) as param:
        train(context, "fit", params={"stepps": 1})
    assert param.value.reference == "param-unknown"
    data = context.workspace.root / "data/points/points.csv"
    before = data.read_bytes()
    data.chmod(0o644)
    data.write_bytes(before + b"200,0.5,0.5,1\n")
    with pytest.raises(Refused) as changed:
        train(context, "fit")
    data.write_bytes(before)
    assert changed.value.reference == "dataset-changed"
    assert len(list(context.runs.folders.ids())) == count


def test_other_data_is_another_version_all_the_way_up(
    context: Context, trained: Trained, tmp_path: Path
) -> None:
    root = context.workspace.root
    data = root / "data/points/points.csv"
    before = data.read_bytes()
    data.chmod(0o644)
    data.write_bytes(before + b"200,0.5,0.5,1\n201,0.9,0.1,0\n")
    context.data.add("points")
    commit_all(root, "more data")
    run = train(context, "fit", register=False).run
    for role in ("dataset", "features", "commit"):
        assert run.input(role) != trained.run.input(role)
    assert run.input("environment") == trained.run.input("environment")
    assert reproduce(context, trained.run.id).verdict is Verdict.IDENTICAL
    assert reproduce(context, run.id).verdict is Verdict.IDENTICAL


def test_the_last_word_of_a_killed_training(context: Context, workspace: Workspace) -> None:
    source = workspace.root / "src/tiny/train.py"
    before = source.read_text()
    kill = "\n    import os, signal\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    source.write_text(before.replace("    raise RuntimeError", f"{kill}    raise RuntimeError"))
    with pytest.raises(TriuneError) as failed:
        train(context, "broken")
    source.write_text(before)
    assert "signal 9" in failed.value.message
    (run,) = context.runs.search(limit=1)
    assert (run.status, run.metrics) == ("killed", {"loss": 1.0})


def test_progress_is_told_while_it_runs(context: Context) -> None:
    seen: list[RunRecord] = []
    train(context, "fit", params={"steps": 1}, register=False, on_progress=seen.append)
    assert seen
    assert seen[-1].status is RunStatus.FINISHED
    shutil.rmtree(context.workspace.home / "cache")
