"""Stages by real DVC: run once, never half done, and plain dvc agrees."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.services import MakeWorkspace, make_workspace, only
from triune.app.context import Context
from triune.core.errors import ConfigError, NotFound, Refused, TriuneError
from triune.core.waiting import wait_until
from triune.core.workspace import Workspace
from triune.data.pipelines.model import StageState
from triune.ledger.ports import Query

__all__ = ["make_workspace"]

TOML = """
[datasets.raw]
path = "data/raw"
[datasets.doubled]
path = "data/doubled"
"""
DVC = """
stages:
  double:
    cmd: python -m work double
    deps: [data/raw, src/work.py]
    params: [factor]
    outs: [data/doubled]
  total:
    cmd: python -m work total
    deps: [data/doubled]
    outs: [total.txt]
"""
WORK = """
import sys, time
from pathlib import Path
import yaml
if sys.argv[1] == "double":
    out = Path("data/doubled"); out.mkdir(parents=True)
    factor = yaml.safe_load(Path("params.yaml").read_text())["factor"]
    (out / "half.txt").write_text("half")
    while Path("wait").exists():
        time.sleep(0.02)
    if factor < 0:
        print("factor is negative"); sys.exit(3)
    numbers = Path("data/raw/n.txt").read_text().split()
    (out / "n.txt").write_text(" ".join(str(int(n) * factor) for n in numbers))
    (out / "half.txt").unlink()
else:
    Path("total.txt").write_text(str(sum(map(int, Path("data/doubled/n.txt").read_text().split()))))
"""


@pytest.fixture
def context(make_workspace: MakeWorkspace) -> Iterator[Context]:
    workspace = make_workspace(settings=only() + TOML)
    root = workspace.root
    (root / "src").mkdir()
    (root / "src" / "work.py").write_text(WORK)
    (root / "dvc.yaml").write_text(DVC)
    (root / "params.yaml").write_text("factor: 2\n")
    (root / "data" / "raw").mkdir(parents=True)
    (root / "data" / "raw" / "n.txt").write_text("1 2 3")
    for command in (
        ["init", "-q"],
        ["add", "src", "triune.toml", "dvc.yaml", "params.yaml"],
        ["-c", "user.email=a@b", "-c", "user.name=n", "commit", "-qm", "begin"],
    ):
        subprocess.run(["git", "-C", str(root), *command], check=True)
    made = Context(workspace)
    made.data.add("raw")
    yield made
    made.close()


def states(results: object) -> dict[str, str]:
    return {one.name: one.state.value for one in results}  # type: ignore[attr-defined]


def total(root: Path) -> str:
    return (root / "total.txt").read_text()


READER = """
stages:
  reads:
    cmd: {cmd}
    deps: [src/work.py]
    outs: [out.txt]
"""
COPY = "cat {path} > out.txt"


def reading(context: Context, command: str, *, settings: str = "") -> Context:
    """The workspace with one stage of this command."""
    root = context.workspace.root
    (root / "dvc.yaml").write_text(READER.format(cmd=command))
    with (root / "triune.toml").open("a") as config:
        config.write(settings)
    return Context(type(context.workspace)(root))


def test_what_a_stage_reads_besides_its_inputs_becomes_its_parent(context: Context) -> None:
    again = reading(context, COPY.format(path="data/raw/n.txt"))
    (done,) = again.pipelines.run()
    assert done.gaps == ()
    (stored,) = again.ledger.select(Query(subject=done.ref))
    assert (again.data.current("raw").ref, "read") in {
        (edge.parent, edge.role) for edge in stored.event.edges
    }
    assert stored.event.payload["reads"]["capture"] == "kernel"
    again.close()


@pytest.mark.parametrize("how", ["cat {path} > out.txt", "sh -c 'cat {path}' | tee out.txt"])
def test_a_file_that_no_version_records_is_a_gap_of_the_stage(
    context: Context, tmp_path: Path, how: str
) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("a,b")
    again = reading(context, how.format(path=secret))
    (done,) = again.pipelines.run()
    assert len(done.gaps) == 1
    assert str(secret) in done.gaps[0]
    assert [gap.what for gap in again.ledger.missing(done.ref)] == list(done.gaps)

    (again.workspace.root / "out.txt").unlink()
    (cached,) = again.pipelines.run()
    assert cached.state is StageState.CACHED
    assert (cached.ref, cached.gaps) == (done.ref, done.gaps)
    again.close()

    settings = f'\n[stages.reads]\noutside = ["{tmp_path}/*"]\n'
    excused = reading(again, how.format(path=secret), settings=settings)
    (done,) = excused.pipelines.run(force=True)
    assert done.gaps == ()
    assert excused.ledger.missing(done.ref) == ()
    excused.close()


def test_what_a_stage_leaves_running_is_ended_with_it(context: Context) -> None:
    again = reading(context, "sleep 1000 & echo $! > out.txt")
    again.pipelines.run()
    left = int((again.workspace.root / "out.txt").read_text())
    wait_until(lambda: not Path(f"/proc/{left}").exists(), timeout=20, what="the rest has ended")
    again.close()


RUNAWAY = (
    "setsid sh -c 'echo $$ > out.txt; exec sleep 1000' & "
    "while [ ! -s out.txt ]; do sleep 0.02; done"
)


def test_what_gets_away_is_a_gap(context: Context) -> None:
    again = reading(context, RUNAWAY)
    (done,) = again.pipelines.run()
    os.kill(int((again.workspace.root / "out.txt").read_text()), signal.SIGKILL)
    assert done.gaps == ("1 of its reads could not be seen",)
    again.close()


def test_a_closed_pipe_ends_a_command_as_in_any_shell(context: Context) -> None:
    again = reading(context, "yes | head -n 1 > out.txt")
    again.pipelines.run()
    assert (again.workspace.root / "out.txt").read_text() == "y\n"
    again.close()


def test_stages_run_once_and_again_only_for_what_changed(context: Context) -> None:
    root, pipelines = context.workspace.root, context.pipelines
    assert states(pipelines.run(dry_run=True)) == {"double": "changed", "total": "changed"}
    assert not (root / "total.txt").exists()
    assert states(pipelines.run()) == {"double": "ran", "total": "ran"}
    assert total(root) == "12"
    before = context.ledger.last_sequence()
    assert states(pipelines.run()) == {"double": "unchanged", "total": "unchanged"}
    assert context.ledger.last_sequence() == before

    dvc = [str(Path(sys.executable).parent / "dvc"), "status"]
    done = subprocess.run(dvc, cwd=root, capture_output=True, text=True, check=True)
    assert "up to date" in done.stdout

    (root / "params.yaml").write_text("factor: 3\n")
    (first, second) = pipelines.run()
    assert first.why == ("input params.yaml: factor: modified",) or "params.yaml" in first.why[0]
    assert (first.state, second.state) == (StageState.RAN, StageState.RAN)
    assert total(root) == "18"
    (root / "params.yaml").write_text("factor: 2\n")
    assert states(pipelines.run()) == {"double": "cached", "total": "cached"}
    assert total(root) == "12"
    assert states(pipelines.run(["double"], force=True)) == {"double": "ran"}


def test_what_a_stage_read_and_made_is_in_the_ledger(context: Context) -> None:
    (first, _) = context.pipelines.run()
    (version,) = first.datasets
    lineage = context.ledger.lineage(version)
    assert lineage.complete
    refs = {node.ref.partition(":")[0] for node in lineage.nodes()}
    assert refs == {"dataset", "stage", "commit"}
    (told,) = [s.event for s in context.ledger.select(Query(subject=first.ref))]
    assert told.payload["params"] == {"factor": 2}
    assert [one["path"] for one in told.payload["deps"]] == ["data/raw", "src/work.py"]
    assert context.ledger.coverage().share == 1.0


def test_a_failing_stage_says_why_and_leaves_everything_as_it_was(context: Context) -> None:
    context.pipelines.run()
    root = context.workspace.root
    (root / "params.yaml").write_text("factor: -1\n")
    with pytest.raises(TriuneError, match="factor is negative") as caught:
        context.pipelines.run()
    assert caught.value.reference == "stage-failed"
    assert (root / "data" / "doubled" / "n.txt").read_text() == "2 4 6"
    assert total(root) == "12"
    (root / "params.yaml").write_text("factor: 4\n")
    context.pipelines.run()
    assert total(root) == "24"


@pytest.mark.parametrize("victim", ["triune", "stage"])
def test_killed_half_way_the_outputs_of_before_are_in_place(context: Context, victim: str) -> None:
    context.pipelines.run()
    root = context.workspace.root
    (root / "params.yaml").write_text("factor: 5\n")
    (root / "wait").touch()
    command = [sys.executable, "-m", "triune.cli.main", "data", "run", "--json"]
    child = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    half = list
    wait_until(
        lambda: bool(half(context.workspace.home.glob("stages/*/data/doubled/half.txt"))),
        timeout=60,
        what="the stage is half done",
    )
    pid = child.pid
    if victim == "stage":
        import psutil

        (pid,) = [p.pid for p in psutil.Process(child.pid).children() if "sh" in p.name()]
    os.kill(pid, signal.SIGKILL)
    child.communicate(timeout=60)
    assert child.returncode != 0
    assert sorted(p.name for p in (root / "data" / "doubled").iterdir()) == ["n.txt"]
    assert (root / "data" / "doubled" / "n.txt").read_text() == "2 4 6"
    (root / "wait").unlink()
    context.pipelines.run()
    assert total(root) == "30"
    assert context.ledger.coverage().share == 1.0


def test_what_is_not_there_is_named(context: Context) -> None:
    with pytest.raises(NotFound, match="doubel") as unknown:
        context.pipelines.run(["doubel"])
    assert (unknown.value.reference, unknown.value.hint) == (
        "stage-unknown",
        "Did you mean `double`?",
    )
    root = context.workspace.root
    table = root / "triune.toml"
    sound = table.read_text()
    table.write_text(sound + "[stages.totl]\noutside = ['/etc']\n[stages.x]\n")
    with pytest.raises(ConfigError) as misnamed, closing(Context(Workspace(root))) as afresh:
        afresh.pipelines.status()
    assert [problem.key for problem in misnamed.value.problems] == ["stages.totl", "stages.x"]
    assert "`total`" in misnamed.value.problems[0].mend
    table.write_text(sound)
    shutil.rmtree(root / "data" / "raw")
    with pytest.raises(Refused, match="data/raw") as gone:
        context.pipelines.run()
    assert gone.value.reference == "stage-input-missing"
    (root / "dvc.yaml").write_text("stages: {}\n")
    with pytest.raises(NotFound) as missing:
        context.pipelines.run()
    assert missing.value.reference == "pipeline-missing"


def test_an_output_that_was_changed_by_hand_is_no_version(context: Context) -> None:
    context.pipelines.run()
    (context.workspace.root / "data" / "doubled" / "n.txt").write_text("7")
    with pytest.raises(Refused) as caught:
        context.data.add("doubled")
    assert caught.value.reference == "dataset-made-by-stage"
    assert states(context.pipelines.run())["double"] in ("ran", "cached")
    assert (context.workspace.root / "data" / "doubled" / "n.txt").read_text() == "2 4 6"
