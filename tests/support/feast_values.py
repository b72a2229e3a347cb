"""Every value that Feast can store: strategies, and one ordinary value of each type."""

from __future__ import annotations

import decimal
import struct
import uuid
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pyarrow as pa
from feast.protos.feast.types import Value_pb2 as pb
from feast.protos.feast.types.Value_pb2 import Value
from feast.type_map import VALUE_TYPE_TO_PROTO_VALUE_MAP
from feast.types import VALUE_TYPES_TO_FEAST_TYPES, Array, Int64, Set, String, Struct
from feast.value_type import ValueType
from hypothesis import strategies as st

UNSTORED = {"UNKNOWN", "NULL"}
KINDS = tuple(one.name for one in ValueType if one.name not in UNSTORED)
FIXED = ("INT32", "INT64", "FLOAT", "DOUBLE", "BOOL", "UNIX_TIMESTAMP")
FIELDS = {one.name: field for one, field in VALUE_TYPE_TO_PROTO_VALUE_MAP.items()} | {
    "PDF_BYTES": "bytes_val",
    "IMAGE_BYTES": "bytes_val",
    "ZONED_TIMESTAMP": "zoned_timestamp_val",
}
"""Value type -> the field that holds it, as Feast itself has it."""

_NESTED: dict[str, Any] = {
    "STRUCT": Struct({"a": Int64, "b": String}),
    "STRUCT_LIST": Array(Struct({"a": Int64, "b": String})),
    "VALUE_LIST": Array(Array(Int64)),
    "VALUE_SET": Set(Array(Int64)),
}


def dtype(kind: str) -> Any:
    """The type as a definition names it."""
    return _NESTED.get(kind) or VALUE_TYPES_TO_FEAST_TYPES[ValueType[kind]]


def exact(value: Value) -> bytes:
    """A value's bytes; the same for the same value, whatever order its maps are kept in."""
    return bytes(value.SerializeToString(deterministic=True))


INT32 = st.integers(-(2**31), 2**31 - 1)
INT64 = st.integers(-(2**63), 2**63 - 1)
MOMENTS = INT64 | st.sampled_from([-62_135_596_800, -1, 0, 253_402_300_799])
FLOAT32 = st.floats(width=32) | st.binary(min_size=4, max_size=4).map(
    lambda raw: float(struct.unpack("<f", raw)[0])
)
FLOAT64 = st.floats() | st.binary(min_size=8, max_size=8).map(
    lambda raw: float(struct.unpack("<d", raw)[0])
)
TEXT = st.text() | st.sampled_from(["", "\0", "a\0b", "Zürich 🛫", "e\u0301"])
PYTHON: dict[str, st.SearchStrategy[Any]] = {
    "STRING": TEXT,
    "BYTES": st.binary() | st.just(b"\0"),
    "BOOL": st.booleans(),
    "INT32": INT32,
    "INT64": INT64,
    "FLOAT": FLOAT32,
    "DOUBLE": FLOAT64,
    "UNIX_TIMESTAMP": MOMENTS,
    "JSON": TEXT,
    "UUID": TEXT,
    "TIME_UUID": TEXT,
    "DECIMAL": TEXT | st.decimals().map(str),
    "PDF_BYTES": st.binary(),
    "IMAGE_BYTES": st.binary(),
}
_LEAVES = st.one_of(
    [
        strategy.map(lambda found, kind=kind: Value(**{FIELDS[kind]: found}))
        for kind, strategy in PYTHON.items()
    ]
)
MAPS = st.dictionaries(TEXT, _LEAVES, max_size=3).map(lambda found: pb.Map(val=found))
VALUES: st.SearchStrategy[Value] = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=3).map(
        lambda found: Value(list_val=pb.RepeatedValue(val=found))
    ),
    max_leaves=5,
)
_KEYS = st.one_of(
    INT32.map(lambda key: pb.MapKey(int32_key=key)),
    MOMENTS.map(lambda key: pb.MapKey(unix_timestamp_key=key)),
    FLOAT64.map(lambda key: pb.MapKey(double_key=key)),
    st.binary().map(lambda key: pb.MapKey(bytes_key=key)),
)
_SCALAR_MAPS = st.lists(st.tuples(_KEYS, _LEAVES), max_size=3).map(
    lambda found: pb.ScalarMap(
        val=[pb.ScalarMapEntry(key=key, value=value) for key, value in found]
    )
)
_ZONED = st.builds(
    pb.ZonedTimestamp, unix_timestamp=MOMENTS, zone=st.sampled_from(["", "Europe/Zurich", "+05:30"])
)


def _messages(kind: str) -> st.SearchStrategy[Any]:
    """What the field of a type holds, as protobuf takes it."""
    if kind in PYTHON:
        return PYTHON[kind]
    if kind in ("MAP", "STRUCT"):
        return MAPS
    if kind in ("MAP_LIST", "STRUCT_LIST"):
        return st.lists(MAPS, max_size=3).map(lambda found: pb.MapList(val=found))
    if kind in ("VALUE_LIST", "VALUE_SET"):
        return st.lists(VALUES, max_size=3).map(lambda found: pb.RepeatedValue(val=found))
    if kind == "SCALAR_MAP":
        return _SCALAR_MAPS
    if kind == "ZONED_TIMESTAMP":
        return _ZONED
    base = kind.rpartition("_")[0]
    field = Value.DESCRIPTOR.fields_by_name[FIELDS[kind]]
    made = getattr(pb, field.message_type.name)
    return st.lists(PYTHON[base], max_size=4).map(lambda found: made(val=found))


def values(kind: str) -> st.SearchStrategy[Value]:
    """Values of one type."""
    return _messages(kind).map(lambda found: Value(**{FIELDS[kind]: found}))


MISSING = st.sampled_from([Value(), Value(null_val=pb.NULL)])

NOW = datetime(2026, 3, 1, 12, 0, 0, 123_456, tzinfo=UTC)
_SCALARS: dict[str, Any] = {
    "STRING": "Zürich 🛫",
    "BYTES": b"\0\xff",
    "BOOL": True,
    "INT32": -(2**31),
    "INT64": 2**63 - 1,
    "FLOAT": 0.1,
    "DOUBLE": 5e-324,
    "UNIX_TIMESTAMP": NOW,
    "UUID": str(uuid.UUID(int=7)),
    "TIME_UUID": "13814000-1dd2-11b2-8080-808080808080",
    "DECIMAL": str(decimal.Decimal("1.50")),
}
ORDINARY: dict[str, Any] = (
    _SCALARS
    | {f"{kind}_LIST": [value, value] for kind, value in _SCALARS.items()}
    | {f"{kind}_SET": [value] for kind, value in _SCALARS.items()}
    | {
        "PDF_BYTES": b"%PDF",
        "IMAGE_BYTES": b"\x89PNG",
        "JSON": '{"a": [1, null]}',
        "JSON_LIST": ['{"a": 1}', "[]"],
        "MAP": {"a": "x", "b": "y"},
        "MAP_LIST": [{"a": "x"}, {}],
        "SCALAR_MAP": {1: "x", 2: "y"},
        "STRUCT": {"a": 1, "b": "x"},
        "STRUCT_LIST": [{"a": 1, "b": "x"}],
        "VALUE_LIST": [[1, 2], [3]],
        "VALUE_SET": [[1, 2]],
        "ZONED_TIMESTAMP": NOW.astimezone(timezone(timedelta(hours=5, minutes=30))),
    }
)
"""A value of each type, as Python code has it."""

_TEXT_MAP = pa.map_(pa.string(), pa.string())
ARROW: dict[str, Any] = {
    "MAP": _TEXT_MAP,
    "MAP_LIST": pa.list_(_TEXT_MAP),
    "SCALAR_MAP": pa.map_(pa.int64(), pa.string()),
    "ZONED_TIMESTAMP": pa.timestamp("us", tz="+05:30"),
}
"""The types of columns that hold the ordinary values, where Arrow does not find them itself."""
