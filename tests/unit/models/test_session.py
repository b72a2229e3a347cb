"""Runs as user code holds them."""

from __future__ import annotations

import multiprocessing
import os
import threading
from pathlib import Path

import numpy as np
import pytest

import triune
from tests.support.runs import bare_workspace
from triune.core.errors import NotFound, Refused, Unavailable
from triune.core.workspace import Workspace
from triune.ledger.envelope import Event
from triune.models.tracking import journal, start
from triune.models.tracking.folders import RunFolders
from triune.models.tracking.frames import Metrics
from triune.models.tracking.model import RunRecord, RunStatus, fold, histories
from triune.models.tracking.session import Run


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return bare_workspace(tmp_path / "bare")


def record_of(run: Run) -> RunRecord:
    record = fold(frame for frame, _ in journal.read(run.folder / "journal"))
    assert record is not None
    return record


def history_of(run: Run) -> dict[str, tuple[tuple[int, float], ...]]:
    return dict(histories(frame for frame, _ in journal.read(run.folder / "journal")))


def test_all_that_is_logged_is_in_the_journal(workspace: Workspace) -> None:
    with start("sweep", workspace=workspace, params={"depth": 3}, tags={"who": "me"}) as run:
        run.log(step=0, auc=0.5, loss=1)
        run.log(step=1, auc=np.float32(0.75))
        run.log_metrics({"p 99/ms": 3.5}, step=7)
        run.param("rate", np.float64(0.125))
    record = record_of(run)
    assert record.status is RunStatus.FINISHED
    assert record.params == {"depth": 3, "rate": 0.125}
    assert record.tags == {"who": "me"}
    assert record.metrics == {"auc": 0.75, "loss": 1.0, "p 99/ms": 3.5}
    assert history_of(run)["auc"] == ((0, 0.5), (1, 0.75))


def test_steps_count_up_by_themselves_from_the_last_one(workspace: Workspace) -> None:
    with start("steps", workspace=workspace) as run:
        run.log(a=1.0)
        run.log(a=2.0)
        run.log(step=10, a=3.0)
        run.log(a=4.0)
    assert [step for step, _ in history_of(run)["a"]] == [0, 1, 10, 11]


def test_an_exception_ends_the_run_as_failed_and_is_not_swallowed(workspace: Workspace) -> None:
    with pytest.raises(ValueError, match="bad data"), start("f", workspace=workspace) as run:
        raise ValueError("bad data")
    assert record_of(run).status is RunStatus.FAILED
    assert record_of(run).error == "ValueError: bad data"


def test_an_interrupt_ends_the_run_as_killed(workspace: Workspace) -> None:
    with pytest.raises(KeyboardInterrupt), start("k", workspace=workspace) as run:
        raise KeyboardInterrupt
    assert record_of(run).status is RunStatus.KILLED


def test_logging_after_the_end_is_refused(workspace: Workspace) -> None:
    with start("late", workspace=workspace) as run:
        pass
    with pytest.raises(Refused) as refusal:
        run.log(a=1.0)
    assert refusal.value.reference == "run-ended"


@pytest.mark.parametrize("value", ["high", None, [1.0], object()])
def test_what_is_no_number_is_no_metric(workspace: Workspace, value: float) -> None:
    with start("m", workspace=workspace) as run, pytest.raises(Refused) as refusal:
        run.log(auc=value)
    assert refusal.value.reference == "metric-invalid"
    assert "auc" not in record_of(run).metrics


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 251, "a;b"])
def test_a_name_that_mlflow_would_not_take_is_refused_at_once(
    workspace: Workspace, name: str
) -> None:
    with start("n", workspace=workspace) as run, pytest.raises(Refused):
        run.log_metrics({name: 1.0})


def test_a_parameter_keeps_its_value(workspace: Workspace) -> None:
    with start("p", workspace=workspace, params={"depth": 3}) as run:
        run.param("depth", 3)
        with pytest.raises(Refused) as refusal:
            run.param("depth", 4)
    assert refusal.value.reference == "param-changed"
    assert record_of(run).params == {"depth": 3}


def test_threads_lose_nothing_and_share_no_step(workspace: Workspace) -> None:
    def work() -> None:
        for _ in range(200):
            run.log(a=1.0)

    with start("threads", workspace=workspace) as run:
        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(step for step, _ in history_of(run)["a"]) == list(range(1600))


def _log_in_child(run: Run, child: int) -> None:
    with run:
        for step in range(100):
            run.log_metrics({f"child {child}": float(step)}, step)


def test_forked_children_log_too_and_do_not_end_the_run(workspace: Workspace) -> None:
    fork = multiprocessing.get_context("fork")
    with start("forks", workspace=workspace) as run:
        children = [fork.Process(target=_log_in_child, args=(run, n)) for n in range(4)]
        for child in children:
            child.start()
        for child in children:
            child.join()
        assert [child.exitcode for child in children] == [0] * 4
        assert record_of(run).status is RunStatus.RUNNING
        run.log(end=1.0)
    found = history_of(run)
    assert [len(found[f"child {n}"]) for n in range(4)] == [100] * 4
    assert record_of(run).status is RunStatus.FINISHED


def test_artifacts_are_copied_whole(workspace: Workspace, tmp_path: Path) -> None:
    source = tmp_path / "report"
    (source / "deep").mkdir(parents=True)
    (source / "deep" / "a.txt").write_text("a")
    with start("artifacts", workspace=workspace) as run:
        run.artifact(source)
        run.artifact(source / "deep" / "a.txt", "notes/a.txt")
        run.artifact(b"\x00\x01", "raw.bin")
        kept = run.artifact(source, "again")
        (source / "deep" / "a.txt").write_text("b")
        run.artifact(source, "again")
        assert (kept / "deep" / "a.txt").read_text() == "b"
        with pytest.raises(Refused) as refusal:
            run.artifact(b"", "../../../escape")
        assert refusal.value.reference == "path-leaves-folder"
        with pytest.raises(Refused) as unnamed:
            run.artifact(b"")
        assert unnamed.value.reference == "artifact-unnamed"
    assert set(record_of(run).artifacts) == {"report", "notes/a.txt", "raw.bin", "again"}
    hidden = [p for p in (run.folder / "artifacts").rglob("*") if p.name.startswith(".")]
    assert hidden == []


def test_a_figure_becomes_a_picture_with_equal_bytes(workspace: Workspace) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2, 2))
    figure.subplots().plot([1, 2, 3])
    with start("figures", workspace=workspace) as run:
        first, second = run.figure("curve", figure), run.figure("again.png", figure)
    assert first.name == "curve.png"
    assert first.read_bytes() == second.read_bytes()
    assert first.read_bytes().startswith(b"\x89PNG")


def test_a_full_disk_is_said_and_costs_only_that_call(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.write
    with start("full", workspace=workspace) as run:
        run.log(a=1.0)
        monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[: len(data) // 2]))
        with pytest.raises(Unavailable) as full:
            run.log(a=2.0)
        monkeypatch.undo()
        run.log(a=3.0)
    assert full.value.reference == "run-journal-full"
    assert [value for _, value in history_of(run)["a"]] == [1.0, 3.0]


class Sink:
    def __init__(self) -> None:
        self.events: list[Event] = []

    def append(self, event: Event) -> None:
        self.events.append(event)


def test_the_ledger_hears_of_beginning_and_end(workspace: Workspace) -> None:
    sink = Sink()
    inputs = (("dataset:x@1", "dataset"), ("commit:abc", "commit"))
    with start("told", workspace=workspace, sink=sink, inputs=inputs, params={"a": 1}) as run:
        run.log(auc=float("nan"), loss=0.5)
    begun, ended = sink.events
    assert (begun.kind, ended.kind) == ("run.started", "run.finished")
    assert begun.subject == ended.subject == run.ref
    assert [(e.child, e.parent, e.role) for e in begun.edges] == [
        (run.ref, "dataset:x@1", "dataset"),
        (run.ref, "commit:abc", "commit"),
    ]
    assert ended.payload["status"] == "finished"
    assert ended.payload["params"] == {"a": 1}
    assert ended.payload["metrics"] == {"auc": "nan", "loss": 0.5}
    assert ended.causes == (begun.id,)


def test_a_run_outside_a_workspace_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotFound) as missing:
        triune.run("lost")
    assert missing.value.reference == "workspace-not-found"


def test_triune_run_finds_the_workspace_and_works_without_git(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = workspace.root / "notebooks"
    deep.mkdir()
    monkeypatch.chdir(deep)
    with triune.run("explore", inputs={"dataset": "dataset:x@1"}) as run:
        run.log(a=1.0)
    assert isinstance(run, triune.Run)
    record = record_of(run)
    assert [role for _, role in record.inputs] == ["dataset", "environment"]
    assert RunFolders(workspace).resolve(run.id[-8:]) == run.id


def test_every_call_is_one_write(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    with start("writes", workspace=workspace) as run:
        run.log(a=1.0)
        calls: list[int] = []
        real = os.write
        monkeypatch.setattr(os, "write", lambda fd, data: calls.append(fd) or real(fd, data))
        run.log(step=1, a=1.0, b=2.0)
        monkeypatch.undo()
    assert len(calls) == 1
    frames = [f for f, _ in journal.read(run.folder / "journal") if isinstance(f, Metrics)]
    assert len(frames) == 2
