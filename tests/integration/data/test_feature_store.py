"""The feature store with real Feast: its SDK on our stores, and ours, give the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest

from tests.support.services import MakeWorkspace, make_workspace, only
from triune.app.context import Context
from triune.app.reproduce import reproduce
from triune.app.train import train
from triune.core.errors import ConfigError, Conflict, NotFound, Refused, TriuneError
from triune.core.workspace import Workspace
from triune.data.features.intervals import BEGINNING
from triune.data.features.ports import Use
from triune.models.reproduce import Verdict

__all__ = ["make_workspace"]

DEFINITIONS = """
from datetime import timedelta
from feast import Entity, FeatureView, Field, FileSource, PushSource
from feast.types import *
from feast.value_type import ValueType

driver = Entity(name="driver", join_keys=["driver"], value_type=ValueType.INT64)
city = Entity(name="city", join_keys=["city"], value_type=ValueType.STRING)
rides = FileSource(name="rides", path="data/rides/rides.parquet", timestamp_field="t",
                   created_timestamp_column="made")
plain = FeatureView(
    name="plain", entities=[driver], ttl=timedelta(days=@TTL@), source=rides,
    schema=[
        Field(name="i32", dtype=Int32), Field(name="i64", dtype=Int64),
        Field(name="f32", dtype=Float32), Field(name="f64", dtype=Float64),
        Field(name="flag", dtype=Bool), Field(name="text", dtype=String),
        Field(name="raw", dtype=Bytes), Field(name="seen", dtype=UnixTimestamp),
    ],
)
lists = FeatureView(
    name="lists", entities=[driver, city], source=PushSource(name="p", batch_source=rides),
    schema=[
        Field(name="numbers", dtype=Array(Float32)), Field(name="words", dtype=Array(String)),
    ],
)
"""
TOML = """
[datasets.rides]
path = "data/rides"
[feature_store]
definitions = ["store"]
"""
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def rides(count: int = 40) -> pd.DataFrame:
    rows = range(count)
    return pd.DataFrame(
        {
            "driver": [n % 7 for n in rows],
            "city": [f"c{n % 3}" for n in rows],
            "t": [NOW - timedelta(hours=count - n) for n in rows],
            "made": [NOW for _ in rows],
            "i32": pd.array([n if n % 5 else None for n in rows], dtype="Int32"),
            "i64": pd.array([2**62 + n for n in rows], dtype="Int64"),
            "f32": pd.array([n / 3 for n in rows], dtype="float32"),
            "f64": [n / 7 if n % 4 else None for n in rows],
            "flag": [n % 2 == 0 for n in rows],
            "text": [f"wörd {n}" if n % 6 else None for n in rows],
            "raw": [bytes([n]) for n in rows],
            "seen": [NOW - timedelta(seconds=n) for n in rows],
            "numbers": [[n / 2, n / 3] for n in rows],
            "words": [[f"w{n}", ""] for n in rows],
        }
    )


def prepare(workspace: Workspace, ttl: int = 0) -> Context:
    root = workspace.root
    sys.modules.pop("store", None)  # an earlier test's
    (root / "src").mkdir()
    (root / "src" / "store.py").write_text(DEFINITIONS.replace("@TTL@", str(ttl)))
    (root / "data" / "rides").mkdir(parents=True)
    rides().to_parquet(root / "data" / "rides" / "rides.parquet")
    for command in (
        ["init", "-q"], ["add", "src", "triune.toml"],
        ["-c", "user.email=a@b", "-c", "user.name=n", "commit", "-qm", "begin"],
    ):  # fmt: skip
        subprocess.run(["git", "-C", str(root), *command], check=True)
    context = Context(workspace)
    context.data.add("rides")
    return context


def by_feast(workspace: Workspace, entities: dict[str, list[Any]], features: list[str]) -> Any:
    """What Feast's own SDK says, in a process of its own: definitions are modules."""
    code = """
import json, sys, base64
from pathlib import Path
from triune.app import features
from triune.app.context import Context
from triune.core.workspace import Workspace
from triune.data.features import repo
root, entities, wanted = Path(sys.argv[1]), json.loads(sys.argv[2]), json.loads(sys.argv[3])
store = repo.open_store(features.settings(Context(Workspace(root))))
response = store.get_online_features(features=wanted, entity_rows=entities, full_feature_names=True)
found = {}
for name, column in zip(response.proto.metadata.feature_names.val, response.proto.results):
    found[name] = [[v.WhichOneof("val"), base64.b64encode(v.SerializeToString()).decode(),
                    int(s), t.ToMicroseconds()]
                   for v, s, t in zip(column.values, column.statuses, column.event_timestamps)]
print(json.dumps(found))
"""
    rows = [
        dict(zip(entities, values, strict=True)) for values in zip(*entities.values(), strict=True)
    ]
    done = subprocess.run(
        [sys.executable, "-c", code, str(workspace.root), json.dumps(rows), json.dumps(features)],
        capture_output=True, text=True, check=False, env={**os.environ, "FEAST_USAGE": "False"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def context(make_workspace: MakeWorkspace) -> Iterator[Context]:
    made = prepare(make_workspace(settings=only() + TOML))
    yield made
    made.close()


def test_feast_and_our_reader_agree_on_what_was_materialized(context: Context) -> None:
    import base64

    from feast.protos.feast.serving.ServingService_pb2 import FieldStatus
    from feast.protos.feast.types.Value_pb2 import Value

    changes = context.features.apply()
    assert {change.what for change in changes} == {"new"}
    done = context.features.materialize(end=NOW)
    assert {one.view: one.entities for one in done} == {"plain": 7, "lists": 21}
    entities = {"driver": [0, 3, 99], "city": ["c0", "c1", "c2"]}
    ours = context.features.get(entities, ["plain", "lists"])
    names = [f"plain:{n}" for n, _ in context.features.catalog.find(["plain"])[0].features]
    theirs = by_feast(context.workspace, entities, [*names, "lists:numbers", "lists:words"])
    for name, values in ours.columns.items():
        view = name.partition(":")[0]
        column = theirs[name.replace(":", "__")]
        for value, status, at, (which, raw, feast_status, feast_at) in zip(
            values, ours.statuses[view], ours.event_times[view], column, strict=True
        ):
            proto = Value.FromString(base64.b64decode(raw))
            if view == "lists":
                assert (value or b"") == (proto.SerializeToString() if which else b"")
            elif which is None:
                assert value is None
            else:
                assert value == getattr(proto, which)
            assert (status.name == "NOT_FOUND") == (feast_status == FieldStatus.NOT_FOUND)
            assert (at or 0) == feast_at


def test_training_sets_are_as_of_each_row_and_keep_every_row(context: Context) -> None:
    context.features.apply()
    entities = pd.DataFrame(
        {
            "driver": [3, 3, 99],
            "event_timestamp": [NOW, NOW - timedelta(hours=20), NOW],
            "y": [1, 2, 3],
        }
    )
    joined = context.features.history(entities, ["plain:f32", "plain:text"])
    table = rides()
    for row, moment in ((0, NOW), (1, NOW - timedelta(hours=20))):
        known = table[(table["driver"] == 3) & (table["t"] <= moment)].iloc[-1]
        assert joined["f32"][row] == known["f32"]
    assert joined["f32"].isna().tolist() == [False, False, True]
    assert joined["y"].tolist() == [1, 2, 3]


def test_what_is_unchanged_is_not_told_again_and_lineage_is_complete(context: Context) -> None:
    context.features.apply()
    context.features.materialize(end=NOW)
    before = context.ledger.last_sequence()
    assert {change.what for change in context.features.apply()} == {"unchanged"}
    assert context.ledger.last_sequence() == before
    assert context.ledger.coverage().share == 1.0


def test_a_second_materialization_reads_only_what_came_since(context: Context) -> None:
    context.features.apply()
    context.features.materialize(["plain"], end=NOW - timedelta(hours=10))
    (done,) = context.features.materialize(["plain"], end=NOW)
    assert done.start == NOW - timedelta(hours=10)
    (again,) = context.features.materialize(["plain"], start=NOW - timedelta(days=9), end=NOW)
    assert again.written == 0
    with pytest.raises(Refused) as caught:
        context.features.materialize(start=NOW, end=NOW - timedelta(1))
    assert caught.value.reference == "feature-window-reversed"


def test_what_was_cleared_comes_back_whole_with_the_next_materialization(context: Context) -> None:
    context.features.apply()
    entities, wanted = {"driver": list(range(7))}, ["plain:i32"]
    (first,) = context.features.materialize(["plain"], end=NOW)
    before = context.features.get(entities, wanted)
    assert context.features.clear(["plain"]) == {"plain": 7}
    assert context.features.get(entities, wanted) != before
    assert told_to_feast(context, "plain").materialization_intervals == []
    (again,) = context.features.materialize(["plain"], end=NOW)
    assert (again.start, again.written) == (first.start, first.written)
    assert context.features.get(entities, wanted) == before
    assert told_to_feast(context, "plain").materialization_intervals == [(BEGINNING, NOW)]


def told_to_feast(context: Context, name: str) -> Any:
    """The view as Feast's SDK knows it, afresh."""
    from triune.app import features
    from triune.data.features import repo

    return repo.open_store(features.settings(context)).get_feature_view(name)


def test_feast_is_told_what_was_materialized(context: Context) -> None:
    context.features.apply()
    assert told_to_feast(context, "plain").materialization_intervals == []
    first, second = NOW - timedelta(hours=10), NOW
    context.features.materialize(["plain"], end=first)
    context.features.materialize(end=second)
    told = told_to_feast(context, "plain")
    assert told.materialization_intervals == [(BEGINNING, first), (first, second)]
    assert told.most_recent_end_time == second
    assert told.state.name == "AVAILABLE_ONLINE"
    assert told_to_feast(context, "lists").materialization_intervals == [(BEGINNING, second)]
    context.features.apply()
    assert told_to_feast(context, "plain") == told


def test_feast_is_told_later_what_it_could_not_be_told(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    from triune.data.features import repo

    context.features.apply()
    with monkeypatch.context() as patched:
        patched.setattr(repo, "open_store", lambda settings: {}["away"])
        with pytest.raises(TriuneError) as caught:
            context.features.materialize(["plain"], end=NOW - timedelta(hours=1))
    assert caught.value.reference == "feast-registry-behind"
    assert context.features.get({"driver": [3]}, ["plain:i32"]).statuses["plain"] == [0]
    context.features.materialize(["plain"], end=NOW)
    ends = [end for _, end in told_to_feast(context, "plain").materialization_intervals]
    assert ends == [NOW - timedelta(hours=1), NOW]


def test_feast_forgets_what_was_materialized_of_another_version(context: Context) -> None:
    context.features.apply()
    context.features.materialize(end=NOW)
    path = context.workspace.root / "src" / "store.py"
    before = path.read_text()
    path.write_text(before.replace('Field(name="i32", dtype=Int32),', ""))
    sys.modules.pop("store")
    context.features.apply()
    assert told_to_feast(context, "plain").materialization_intervals == []
    assert told_to_feast(context, "lists").materialization_intervals == [(BEGINNING, NOW)]
    path.write_text(before)
    sys.modules.pop("store")
    context.features.apply()  # its rows are still there
    assert told_to_feast(context, "plain").materialization_intervals == [(BEGINNING, NOW)]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (('dtype=Int32', 'dtype=Set(Json)'), "feature i32 is Set(Json), which Feast cannot store"),
        (('dtype=Int32', 'dtype=Array(PdfBytes)'), "feature i32 is Array(PdfBytes)"),
        (('dtype=Int32', 'dtype=Invalid'), "feature i32 is Invalid"),
        (("ValueType.INT64", "ValueType.DOUBLE"), "join key driver is DOUBLE, by which nothing"),
    ],
)  # fmt: skip
def test_a_type_that_cannot_be_stored_is_refused_by_name(
    context: Context, change: tuple[str, str], told: str
) -> None:
    path = context.workspace.root / "src" / "store.py"
    path.write_text(path.read_text().replace(*change))
    with pytest.raises(ConfigError) as caught:
        context.features.apply()
    assert any(told in str(problem) for problem in caught.value.problems)
    assert context.features.catalog.current() == {}


def test_rows_can_be_pushed_and_the_newest_wins(context: Context) -> None:
    import pyarrow as pa

    context.features.apply()

    def pushed(at: datetime, number: float) -> int:
        row = {"driver": 1, "city": "c0", "t": at, "numbers": [number], "words": ["x"]}
        return context.features.push("lists", pa.Table.from_pylist([row]))

    assert pushed(NOW, 1.0) == 1
    assert pushed(NOW - timedelta(1), 2.0) == 0
    theirs = by_feast(context.workspace, {"driver": [1], "city": ["c0"]}, ["lists:numbers"])
    assert theirs["lists__numbers"][0][0] == "float_list_val"
    with pytest.raises(Refused) as caught:
        context.features.push("plain", pa.Table.from_pylist([{"driver": 1}]))
    assert caught.value.reference == "feature-view-not-pushed"
    with pytest.raises(Refused, match="numbers") as caught:
        row = {"driver": 1, "city": "c0", "t": NOW, "words": ["x"]}
        context.features.push("lists", pa.Table.from_pylist([row]))
    assert caught.value.reference == "feature-row-unfit"


def test_a_change_that_a_live_release_depends_on_is_refused(context: Context) -> None:
    context.features.apply()
    (view,) = context.features.catalog.find(["plain"])
    context.features._in_use = lambda: [Use("shop/late", "release:shop-late@1", view.ref)]
    path = context.workspace.root / "src" / "store.py"
    path.write_text(path.read_text().replace('Field(name="i32", dtype=Int32),', ""))
    sys.modules.pop("store")
    with pytest.raises(Conflict) as caught:
        context.features.apply()
    assert caught.value.reference == "features-in-use"
    assert "release:shop-late@1 reads it at shop/late" in caught.value.message
    assert context.features.catalog.find(["plain"])[0].version == view.version
    changes = {c.name: c for c in context.features.apply(beside=True)}
    assert changes["plain"].words == ("feature i32 is gone",)
    assert len([v for v in context.features.catalog.versions() if v.name == "plain"]) == 2


def test_every_mistake_in_the_definitions_is_told_at_once(context: Context) -> None:
    path = context.workspace.root / "src" / "store.py"
    path.write_text(
        path.read_text() + "\nlonely = FeatureView(name='lonely', entities=[], source=rides, "
        "schema=[Field(name='f32', dtype=Float32)])\n"
        "twice = FeatureView(name='plain', entities=[driver], source=rides, "
        "schema=[Field(name='f32', dtype=Float32)])\n"
    )
    sys.modules.pop("store", None)
    with pytest.raises(ConfigError) as caught:
        context.features.apply(dry_run=True)
    told = [str(problem) for problem in caught.value.problems]
    assert any("lonely" in one and "no entity" in one for one in told)
    assert any("plain" in one and "twice" in one for one in told)
    with pytest.raises(NotFound) as missing:
        context.features.get({"driver": [1]}, ["plain"])
    assert missing.value.reference == "features-not-applied"


@pytest.mark.engine
@pytest.mark.slow
def test_on_valkey_and_postgresql_it_is_the_same(make_workspace: MakeWorkspace) -> None:
    from triune.app import services

    settings = only("postgres", "valkey", "seaweedfs", profile="server") + TOML
    workspace = make_workspace(settings=settings)
    services.up(Context(workspace))
    context = prepare(workspace)
    try:
        context.features.apply()
        context.features.materialize(end=NOW)
        ours = context.features.get({"driver": [3]}, ["plain:f64", "plain:text"])
        theirs = by_feast(context.workspace, {"driver": [3]}, ["plain:f64", "plain:text"])
        assert [ours.columns["plain:f64"][0] is None] == [theirs["plain__f64"][0][0] is None]
        assert theirs["plain__text"][0][2] == 1
        assert ours.statuses["plain"][0].name == "PRESENT"
    finally:
        context.close()


HISTORY = """
[trainings.past]
function = "learn:past"
dataset = "rides"
history = ["plain:i64", "plain:f64"]
model = "m"

[trainings.none]
function = "learn:past"
dataset = "rides"
model = "m"
"""

LEARN = """
import pandas as pd


def past(context):
    asked = pd.DataFrame({
        "driver": [1, 2, 99],
        "event_timestamp": pd.to_datetime(["2030-01-01", "2000-01-01", "2030-01-01"], utc=True),
    })
    found = context.history(asked)
    context.run.log(known=float(found["i64"].notna().sum()), sum=float(found["f64"].sum()))
"""


def test_a_training_joins_features_of_the_past_and_can_be_done_again(context: Context) -> None:
    root = context.workspace.root
    (root / "src" / "learn.py").write_text(LEARN)
    with (root / "triune.toml").open("a") as config:
        config.write(HISTORY)
    subprocess.run(["git", "-C", str(root), "add", "."], check=True)
    subprocess.run(
        ["git", "-C", str(root), "-c", "user.email=a@b", "-c", "user.name=n", "commit", "-qm", "x"],
        check=True,
    )
    again = Context(type(context.workspace)(root))
    try:
        again.features.apply()
        run = train(again, "past").run
        assert run.metrics["known"] == 1.0
        (view,) = again.features.catalog.find(["plain"])
        assert (view.ref, "history") in run.inputs
        assert again.ledger.missing(run.ref) == ()
        assert reproduce(again, run.id).verdict is Verdict.IDENTICAL
        with pytest.raises(TriuneError, match="declares no features"):
            train(again, "none")
    finally:
        again.close()
