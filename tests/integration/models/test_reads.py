"""A training's reads become its lineage: versions where there are some, else gaps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.tiny_workspace import commit_all, tiny_workspace
from triune.app.context import Context
from triune.app.train import train
from triune.core.ids import digest_file
from triune.ledger.ports import Query
from triune.models.tracking.model import RunRecord

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("training")]

TRAIN = '''\
"""Trainings that read more than they say."""

import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parents[2]


def honest(context):
    context.run.log(rows=len((context.data / "points.csv").read_text()))


def other(context):
    (HERE / "data" / "more" / "more.csv").read_text()


def secret(context):
    subprocess.run(["cat", context.params["path"]], check=True)
'''

MORE = """
[datasets.more]
path = "data/more"
"""

TABLE = """
[trainings.{name}]
function = "tiny.more:{name}"
dataset = "points"
model = "points"
params = {{ path = "{path}" }}
"""


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("elsewhere") / "secret.csv"
    path.write_text("a,b\n")
    return path


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory, outside: Path) -> Iterator[Context]:
    workspace = tiny_workspace(tmp_path_factory.mktemp("reads") / "tiny")
    root = workspace.root
    (root / "src" / "tiny" / "more.py").write_text(TRAIN)
    (root / "data" / "more").mkdir()
    (root / "data" / "more" / "more.csv").write_text("a\n1\n")
    with (root / "triune.toml").open("a") as config:
        config.write(MORE + "".join(TABLE.format(name=n, path=outside) for n in
                                    ("honest", "other", "secret")))  # fmt: skip
        config.write(TABLE.format(name="excused", path=outside).replace(":excused", ":secret"))
        config.write(f'outside = ["{outside.parent}/*"]\n')
    made = Context(type(workspace)(root))
    made.data.add("points")
    made.data.add("more")
    commit_all(root, "version the data")
    yield made
    made.close()


def _trained(context: Context, name: str) -> RunRecord:
    return train(context, name, register=False).run


def _reads(context: Context, run: RunRecord) -> dict[str, object]:
    (told,) = context.ledger.select(Query(kind="run.finished", subject=run.ref))
    return dict(told.event.payload["reads"])


def test_what_a_training_declares_is_all_it_read(context: Context) -> None:
    run = _trained(context, "honest")
    assert context.ledger.missing(run.ref) == ()
    assert run.reads is not None
    assert run.reads.capture == "kernel"
    assert run.reads.counts["data"] == 1
    assert run.reads.counts["code"] >= 1
    assert not run.reads.unversioned
    assert not run.reads.connections


def test_a_dataset_it_does_not_declare_becomes_its_parent_all_the_same(context: Context) -> None:
    run = _trained(context, "other")
    version = context.data.recorded("more").ref
    edges = {(edge.parent, edge.role) for edge in context.ledger.parents([run.ref])}
    assert (version, "read") in edges
    assert context.ledger.missing(run.ref) == ()


def test_a_file_that_no_version_records_is_a_gap_with_its_digest(
    context: Context, outside: Path
) -> None:
    run = _trained(context, "secret")
    (gap,) = context.ledger.missing(run.ref)
    assert str(outside) in gap.what
    assert "dataset" in gap.what
    (one,) = _reads(context, run)["unversioned"]  # type: ignore[misc]  # a list, by the event
    assert one["digest"] == digest_file(outside)
    assert one["size"] == outside.stat().st_size


def test_what_is_declared_outside_is_recorded_and_no_gap(context: Context, outside: Path) -> None:
    run = _trained(context, "excused")
    assert context.ledger.missing(run.ref) == ()
    assert _reads(context, run)["outside"] == [str(outside)]


def test_a_dataset_that_was_changed_since_its_version_is_a_gap(context: Context) -> None:
    path = context.data.path("more") / "more.csv"
    kept = path.read_text()
    path.unlink()
    path.write_text("changed\n")
    try:
        run = _trained(context, "other")
        (gap,) = context.ledger.missing(run.ref)
    finally:
        path.unlink()
        path.write_text(kept)
    assert "dataset 'more'" in gap.what
    assert "not as recorded" in gap.what
