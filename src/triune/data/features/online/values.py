"""Feast's values as protobuf, and the same as a layout packs them. Imports Feast."""

from __future__ import annotations

from typing import Any

from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Null as ProtoNull
from feast.protos.feast.types.Value_pb2 import Value

from triune.data.features.online.layout import NULL, Odd, is_plain

_FIELDS = {
    "PDF_BYTES": "bytes_val",
    "IMAGE_BYTES": "bytes_val",
    "VALUE_LIST": "list_val",
    "VALUE_SET": "set_val",
}
"""The fields that are not named for their type."""


def field_of(kind: str) -> str:
    """The field of Feast's Value that holds a value type."""
    return _FIELDS.get(kind, f"{kind.lower()}_val")


def packable(kind: str, value: Any) -> Any:
    """A Feast Value as `ViewLayout.pack` takes it for a feature of this type."""
    which = value.WhichOneof("val")
    if which is None:
        return None
    if which == "null_val":
        return NULL
    if which != field_of(kind):
        return Odd(value.SerializeToString())
    return getattr(value, which) if is_plain(kind) else value.SerializeToString()


def proto(kind: str, value: Any) -> Any:
    """What `ViewLayout.unpack` gave, as a Feast Value."""
    if value is None:
        return Value()
    if value is NULL:
        return Value(null_val=ProtoNull.NULL)
    if isinstance(value, Odd):
        return Value.FromString(value.proto)
    if is_plain(kind):
        return Value(**{field_of(kind): value})
    return Value.FromString(value)


def entity(key: EntityKey, join_keys: tuple[str, ...]) -> tuple[object, ...]:
    """The values of an entity key, in the order of the join keys."""
    found = dict(zip(key.join_keys, key.entity_values, strict=True))
    return tuple(getattr(found[n], found[n].WhichOneof("val")) for n in join_keys)
