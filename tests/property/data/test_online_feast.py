"""Our reader gives, bit for bit, what Feast's SDK gives from the same store, and both what was
written: all value types, missing ones, times to live, composite keys, several views, both places.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow as pa
import pytest
from feast import Entity, FeatureView, Field, FileSource
from feast.protos.feast.serving.ServingService_pb2 import FieldStatus
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.type_map import python_values_to_proto_values
from feast.types import Int32, Int64, String
from feast.value_type import ValueType
from hypothesis import event, given, settings
from hypothesis import strategies as st

from tests.support.feast_values import (
    ARROW,
    FIELDS,
    FIXED,
    KINDS,
    MISSING,
    NOW,
    ORDINARY,
    PYTHON,
    TEXT,
    dtype,
    exact,
    values,
)
from tests.support.ports import block
from tests.support.valkeys import serving
from triune.data.features import kinds as known
from triune.data.features import repo, rows
from triune.data.features.definitions import layout_of
from triune.data.features.online.layout import Odd, ViewLayout
from triune.data.features.online.places import place
from triune.data.features.online.plan import Answer, Status, compile
from triune.data.features.online.ports import Place
from triune.data.features.online.reader import OnlineReader
from triune.data.features.online.serving import FeatureLookup
from triune.data.features.online.writer import OnlineWriter
from triune.data.features.views import View

NOW_US = round(NOW.timestamp()) * 1_000_000 + NOW.microsecond
TTL = timedelta(hours=1, microseconds=1)
TTL_US = TTL // timedelta(microseconds=1)
FIRST_US, LAST_US = -62_135_596_800_000_000, 253_402_300_799_999_999
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

TABLE = FileSource(name="table", path="table.parquet", timestamp_field="t")
DRIVER = Entity(name="driver", join_keys=["driver"], value_type=ValueType.INT64)
SHOP = Entity(name="shop", join_keys=["shop"], value_type=ValueType.INT32)
CITY = Entity(name="city", join_keys=["city"], value_type=ValueType.STRING)
KEYS = {"driver": Field(name="driver", dtype=Int64), "shop": Field(name="shop", dtype=Int32)}
KEYS["city"] = Field(name="city", dtype=String)
KEY_FIELDS = {"driver": "int64_val", "shop": "int32_val", "city": "string_val"}


def view(name: str, entities: Sequence[Entity], kinds: Sequence[str], ttl: timedelta) -> Any:
    schema = [Field(name=kind.lower(), dtype=dtype(kind)) for kind in kinds]
    schema += [KEYS[one.name] for one in entities]
    return FeatureView(name=name, entities=list(entities), ttl=ttl, schema=schema, source=TABLE)


VIEWS = {
    "every": view("every", [DRIVER], KINDS, timedelta(0)),
    "numbers": view("numbers", [DRIVER], FIXED, TTL),
    "pair": view("pair", [SHOP, CITY, DRIVER], ["STRING", "FLOAT", "STRING_LIST"], TTL),
    "place": view("place", [CITY], ["DOUBLE", "BOOL_LIST", "MAP"], timedelta(0)),
}


@dataclass(frozen=True)
class Both:
    """One store, read by Feast's SDK and by our reader."""

    store: Any
    place: Place
    url: str
    layouts: dict[str, ViewLayout]

    def write(self, name: str, rows: Sequence[Any]) -> None:
        """By Feast, as its engines write."""
        self.store._get_provider().online_write_batch(
            self.store.config, self.store.get_feature_view(name), list(rows), None
        )

    def theirs(self, asked: Sequence[str], entities: dict[str, list[Any]]) -> dict[str, Any]:
        keyed = {
            name: [Value(**{KEY_FIELDS[name]: value}) for value in column]
            for name, column in entities.items()
        }
        found = self.store.get_online_features(
            features=list(asked), entity_rows=keyed, full_feature_names=True
        ).proto
        names = found.metadata.feature_names.val
        return dict(zip(names, found.results, strict=True))

    def ours(self, asked: Sequence[str], entities: dict[str, list[Any]], now_us: int) -> Answer:
        plan = compile(list(self.layouts.values()), list(asked))
        wanted = {name: entities[name] for name in plan.join_keys}
        return OnlineReader(self.place).read(plan, wanted, now_us=now_us)

    def served(self, asked: Sequence[str], entities: dict[str, list[Any]]) -> Any:
        """What a model server looks up."""
        lookup = FeatureLookup(
            {
                "url": self.url,
                "timeout": 30.0,
                "layouts": [layout.to_json() for layout in self.layouts.values()],
                "features": {name: name for name in asked},
            }
        )
        return asyncio.run(lookup(entities, len(next(iter(entities.values())))))

    def clear(self) -> None:
        for layout in self.layouts.values():
            self.place.drop(layout.project, layout.field)


@pytest.fixture(scope="module", params=["sqlite", pytest.param("valkey", marks=pytest.mark.engine)])
def both(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Both]:
    folder = tmp_path_factory.mktemp("feast")
    if request.param == "sqlite":
        yield from opened(folder, f"sqlite:///{folder / 'online.db'}")
        return
    with block() as ports:
        for url in serving(folder, ports):
            yield from opened(folder, url)


def opened(folder: Path, url: str) -> Iterator[Both]:
    found = repo.Settings("p", folder, f"sqlite:///{folder / 'registry.db'}", url)
    repo.apply(found, [TABLE, DRIVER, SHOP, CITY, *VIEWS.values()])
    store = repo.open_store(found)
    layouts = {
        name: layout_of(store.get_feature_view(name), store.project, folder) for name in VIEWS
    }
    made = place(url)
    yield Both(store, made, url, layouts)
    made.close()


def row(layout: ViewLayout, entity: dict[str, Any], features: dict[str, Value], at_us: int) -> Any:
    key = EntityKey(
        join_keys=list(layout.join_keys),
        entity_values=[Value(**{KEY_FIELDS[n]: entity[n]}) for n in layout.join_keys],
    )
    return key, features, EPOCH + timedelta(microseconds=at_us), None


def as_feast(kind: str, value: Any) -> Value:
    """What our reader gave, as Feast's protobuf."""
    if value is None:
        return Value()
    if isinstance(value, Odd):
        return Value.FromString(value.proto)
    if kind in PYTHON:
        return Value(**{FIELDS[kind]: value})
    return Value.FromString(value)


@dataclass
class Written:
    """What an example writes: for each view and entity (by place) the values and their time."""

    entities: list[dict[str, Any]]
    rows: dict[tuple[str, int], tuple[dict[str, Value], int]] = field(default_factory=dict)


AGES = st.sampled_from([0, TTL_US - 1, TTL_US, TTL_US + 1, -1, -TTL_US]) | st.integers(
    NOW_US - LAST_US, NOW_US - FIRST_US
)
ENTITIES = st.fixed_dictionaries(
    {
        "driver": st.integers(-(2**63), 2**63 - 1) | st.sampled_from([0, 1]),
        "shop": st.integers(-(2**31), 2**31 - 1) | st.sampled_from([0, 1]),
        "city": TEXT,
    }
)
ODD = st.sampled_from([Value(string_val="odd"), Value(int64_val=1), Value(double_val=-0.0)])


@st.composite
def features(draw: st.DrawFn, name: str) -> dict[str, Value]:
    kinds = [str(one.dtype.to_value_type().name) for one in VIEWS[name].features]
    some = name == "every" or draw(st.integers(0, 3)) == 0
    if some:
        kinds = draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=6, unique=True))
    lacking = MISSING | ODD if some else st.nothing()
    return {kind.lower(): draw(values(kind) | lacking) for kind in kinds}


@st.composite
def written(draw: st.DrawFn) -> Written:
    made = Written(draw(st.lists(ENTITIES, min_size=1, max_size=3)))
    for name in VIEWS:
        for number in range(len(made.entities)):
            if draw(st.integers(0, 4)):
                made.rows[name, number] = draw(features(name)), NOW_US - draw(AGES)
    return made


@settings(max_examples=150)
@given(made=written(), data=st.data())
def test_our_reader_feasts_sdk_and_a_model_server_read_the_same(
    both: Both, made: Written, data: st.DataObject
) -> None:
    both.clear()
    for (name, number), (found, at_us) in made.rows.items():
        both.write(name, [row(both.layouts[name], made.entities[number], found, at_us)])
    every = [f"{name}:{one.name}" for name in VIEWS for one in VIEWS[name].features]
    near = [f"{name}:{one}" for (name, _), (found, _) in made.rows.items() for one in found]
    asked = data.draw(st.lists(st.sampled_from(near or every), min_size=1, max_size=8, unique=True))
    strangers = data.draw(st.lists(ENTITIES, max_size=2))
    order = data.draw(st.permutations([*made.entities, *strangers, made.entities[0]]))
    entities = {key: [one[key] for one in order] for key in KEY_FIELDS}
    # Feast takes no join key that no view of a request has.
    needed = {k for one in asked for k in both.layouts[one.partition(":")[0]].join_keys}
    entities = {key: column for key, column in entities.items() if key in needed}
    with patch("time.time_ns", return_value=NOW_US * 1_000 + 999):
        theirs, served = both.theirs(asked, entities), both.served(asked, entities)
    compare(both, asked, both.ours(asked, entities, NOW_US), theirs, served)


def compare(both: Both, asked: Sequence[str], ours: Answer, theirs: Any, served: Any) -> None:
    for one in asked:
        name, _, feature = one.partition(":")
        kind = dict(both.layouts[name].features)[feature]
        column = theirs[f"{name}__{feature}"]
        assert len(ours.columns[one]) == len(column.values)
        for number, value in enumerate(ours.columns[one]):
            their, status = column.values[number], ours.statuses[name][number]
            if value is None:
                assert their.WhichOneof("val") in (None, "null_val")
            else:
                assert exact(as_feast(kind, value)) == exact(their)
                event(kind)
            present = column.statuses[number] == FieldStatus.PRESENT
            assert present is (status is Status.PRESENT)
            if present:
                assert (
                    column.event_timestamps[number].ToMicroseconds()
                    == (ours.event_times[name][number])
                )
            lookup = served[one][number]
            assert (lookup is None) is (value is None or isinstance(value, Odd))
            assert lookup is None or exact(as_feast(kind, lookup)) == exact(their)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=15)
@given(data=st.data())
def test_a_value_of_each_type_comes_back_as_it_was_written(
    both: Both, kind: str, data: st.DataObject
) -> None:
    value = data.draw(values(kind))
    both.clear()
    both.write("every", [row(both.layouts["every"], {"driver": 1}, {kind.lower(): value}, NOW_US)])
    asked, entities = [f"every:{kind.lower()}"], {"driver": [1]}
    (their,) = both.theirs(asked, entities)[f"every__{kind.lower()}"].values
    (our,) = both.ours(asked, entities, NOW_US).columns[asked[0]]
    assert exact(their) == exact(value)
    assert not isinstance(our, Odd)
    assert exact(as_feast(kind, our)) == exact(value)


@pytest.mark.parametrize("kind", KINDS)
def test_what_feast_makes_of_python_values_is_read_alike(both: Both, kind: str) -> None:
    both.clear()
    (value,) = python_values_to_proto_values([ORDINARY[kind]], ValueType[kind])
    both.write("every", [row(both.layouts["every"], {"driver": 1}, {kind.lower(): value}, NOW_US)])
    asked, entities = [f"every:{kind.lower()}"], {"driver": [1, 2]}
    their = both.theirs(asked, entities)[f"every__{kind.lower()}"].values
    our = both.ours(asked, entities, NOW_US).columns[asked[0]]
    assert their[0].WhichOneof("val") == FIELDS[kind]
    assert [exact(as_feast(kind, value)) for value in our] == [exact(value) for value in their]


@pytest.mark.parametrize("kind", KINDS)
def test_a_table_is_brought_online_as_feast_would(both: Both, kind: str) -> None:
    both.clear()
    (layout, wanted), name = (both.layouts["every"], ORDINARY[kind]), kind.lower()
    found = View("p", "every", (("driver", "INT64"),), layout.features, "table.parquet", "t")
    columns = {one: pa.nulls(2) for one, _ in layout.features}
    columns[name] = pa.array([wanted, None], ARROW.get(kind))
    times = pa.array([NOW_US, NOW_US])
    table = pa.table({"driver": [1, 2], rows.EVENT: times, **columns})
    OnlineWriter(both.place).write(layout, rows.of_table(found, table))
    asked, entities = [f"every:{name}"], {"driver": [1, 2]}
    their = both.theirs(asked, entities)[f"every__{name}"].values
    made = python_values_to_proto_values([wanted], ValueType[kind])
    assert [exact(value) for value in their] == [exact(made[0]), b""]
    our = both.ours(asked, entities, NOW_US).columns[asked[0]]
    assert [exact(as_feast(kind, value)) for value in our] == [exact(value) for value in their]


@pytest.mark.parametrize(
    ("late_us", "status"), [(-1, Status.PRESENT), (0, Status.PRESENT), (1, Status.EXPIRED)]
)
def test_a_row_lives_to_the_border_and_no_microsecond_longer(
    both: Both, late_us: int, status: Status
) -> None:
    both.clear()
    value = {"int32": Value(int32_val=7)}
    both.write("numbers", [row(both.layouts["numbers"], {"driver": 1}, value, NOW_US)])
    now_us = NOW_US + TTL_US + late_us
    with patch("time.time_ns", return_value=now_us * 1_000):
        (their,) = both.theirs(["numbers:int32"], {"driver": [1]})["numbers__int32"].statuses
    ours = both.ours(["numbers:int32"], {"driver": [1]}, now_us)
    assert ours.statuses["numbers"] == [status]
    assert (their == FieldStatus.PRESENT) is (status is Status.PRESENT)


def test_the_types_that_a_view_may_use_are_all_that_feast_stores() -> None:
    assert set(KINDS) == known.FEATURES
