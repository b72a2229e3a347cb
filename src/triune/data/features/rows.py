"""Tables as rows for the online store: each value held against its feature's type."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from triune.core.errors import Refused
from triune.data.features.online.layout import is_fixed, is_plain, is_text
from triune.data.features.online.writer import Row
from triune.data.features.views import View

if TYPE_CHECKING:
    import pyarrow as pa

_WHOLE = frozenset({"INT32", "INT64", "UNIX_TIMESTAMP"})
_BATCH = 10_000
EVENT, CREATED = "event_us", "created_us"


def of_table(view: View, table: pa.Table) -> Iterator[Row]:
    """Rows of a table with columns for the keys and features, `EVENT` and `CREATED`.

    Raises
    ------
    Refused: (``feature-row-unfit``) naming the column whose type does not fit.
    """
    for batch in table.to_batches(max_chunksize=_BATCH):
        columns = {name: batch.column(name) for name in batch.schema.names}
        keys = [_values(view, name, kind, columns) for name, kind in view.keys]
        features = [_values(view, name, kind, columns) for name, kind in view.features]
        events, created = (_times(columns, name, len(batch)) for name in (EVENT, CREATED))
        entities = zip(*keys, strict=True)
        values = zip(*features, strict=True)
        for entity, event, made, row in zip(entities, events, created, values, strict=True):
            if event is not None and None not in entity:
                yield Row(entity, event, row, made)


def _times(columns: Mapping[str, Any], name: str, count: int) -> Sequence[int | None]:
    column = columns.get(name)
    return [None] * count if column is None else column.to_pylist()


def _values(view: View, name: str, kind: str, columns: Mapping[str, Any]) -> list[Any]:
    column = columns.get(name)
    if column is None:
        raise unfit(view, f"column {name} is missing", f"there are {', '.join(columns)}")
    import pyarrow as pa

    try:
        if is_plain(kind):
            return _plain(kind, column)
        values = column.to_pylist(maps_as_pydicts="strict")
        return [_packed(kind, value) for value in values]
    except (pa.ArrowException, TypeError, ValueError, KeyError, OverflowError) as error:
        raise unfit(view, f"column {name} is no {kind}: {error}", f"it is {column.type}") from error


def _plain(kind: str, column: Any) -> list[Any]:
    import pyarrow as pa

    target = {
        "INT32": pa.int32(),
        "INT64": pa.int64(),
        "DOUBLE": pa.float64(),
        "FLOAT": pa.float32(),
        "BOOL": pa.bool_(),
        "UNIX_TIMESTAMP": pa.timestamp("s", tz="UTC"),
    }.get(kind)
    if target is None:
        target = pa.string() if is_text(kind) else pa.binary()
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if is_fixed(kind) and pa.types.is_string(column.type):
        raise TypeError("it holds texts")
    if kind == "UNIX_TIMESTAMP" and pa.types.is_integer(column.type):
        return list(column.cast(pa.int64()).to_pylist())
    cast = column.cast(target, safe=kind in _WHOLE and kind != "UNIX_TIMESTAMP")
    if kind == "UNIX_TIMESTAMP":
        cast = cast.cast(pa.int64())
    return list(cast.to_pylist())


def _packed(kind: str, value: Any) -> bytes | None:
    """A list, set or map as Feast's protobuf bytes."""
    if value is None:
        return None
    from feast.type_map import python_values_to_proto_values
    from feast.value_type import ValueType

    (proto,) = python_values_to_proto_values([value], ValueType[kind])
    return bytes(proto.SerializeToString())


def unfit(view: View, what: str, context: str) -> Refused:
    """The error for rows that a view cannot hold."""
    return Refused(
        "feature-row-unfit",
        f"{view.name}: {what}",
        context=context,
        hint=f"It takes {', '.join(f'{n} ({k})' for n, k in (*view.keys, *view.features))}.",
    )
