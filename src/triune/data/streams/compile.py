"""A stream's table in ``triune.toml`` made ready: held against the view that it feeds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from triune.core import entrypoints
from triune.core.config import FILE_NAME
from triune.core.errors import ConfigError, Problem
from triune.core.mistakes import closest
from triune.core.stream_config import Aggregation, FieldType, StreamClock, StreamTable
from triune.data.features.views import View
from triune.data.streams.model import Aggregate, Spec

_KEYS = {
    FieldType.STRING: ("STRING",),
    FieldType.INTEGER: ("INT32", "INT64"),
}


def compiled(name: str, table: StreamTable, view: View, code: Path) -> Spec:
    """The stream, ready to be applied.

    Raises
    ------
    ConfigError: every place in which the table and the view do not fit.
    EntryPointError: a function is not there.
    """
    problems = list(_problems(f"streams.{name}", table, view))
    if problems:
        raise ConfigError(problems)
    return Spec(
        name=name,
        topic=table.topic,
        layout=view.layout,
        entities=tuple(table.entities[key] for key, _ in view.keys),
        time=table.time,
        id=table.id,
        fields=dict(table.fields),
        order=tuple(_aggregate(one, table, code) for one, _ in view.features),
        lateness_us=round(table.lateness_s * 1e6),
        prepare=entrypoints.load(table.prepare, code) if table.prepare else None,
        wall=table.clock is StreamClock.WALL,
    )


def _aggregate(feature: str, table: StreamTable, code: Path) -> Aggregate:
    one = table.features[feature]
    return Aggregate(
        feature,
        one.aggregation,
        one.field,
        round(one.window_s * 1e6) if one.window_s is not None else None,
        one.empty,
        entrypoints.load(one.transform, code) if one.transform else None,
    )


def _problems(key: str, table: StreamTable, view: View) -> Iterator[Problem]:
    def problem(place: str, what: str, mend: str) -> Problem:
        return Problem(FILE_NAME, f"{key}.{place}", what, mend)

    keys, features = dict(view.keys), dict(view.features)
    for name in keys.keys() ^ table.entities.keys():
        what = "is no join key of the view" if name in table.entities else "is missing"
        yield problem(f"entities.{name}", what, f"The view's join keys: {', '.join(keys)}.")
    for name in features.keys() ^ table.features.keys():
        what = "is no feature of the view" if name in table.features else "is missing"
        yield problem(f"features.{name}", what, f"The view's features: {', '.join(features)}.")
    for name, field in table.entities.items():
        kinds = _KEYS.get(table.fields.get(field, FieldType.STRING), ())
        if name in keys and keys[name] not in kinds:
            yield problem(f"entities.{name}", f"the view has it as {keys[name]}", "Give its type.")
    for place, field in (("time", table.time), ("id", table.id), *_named(table)):
        if field not in table.fields:
            yield problem(place, f"there is no field {field!r}", closest(field, table.fields))
    if table.fields.get(table.time, FieldType.TIMESTAMP) is not FieldType.TIMESTAMP:
        yield problem("time", "its field is no timestamp", 'Declare it as "timestamp".')
    for name, one in table.features.items():
        if name in features and features[name] not in ("FLOAT", "DOUBLE"):
            yield problem(
                f"features.{name}", f"the view has it as {features[name]}", "Use Float32."
            )
        if one.field is None and one.aggregation is not Aggregation.COUNT:
            yield problem(f"features.{name}.field", "is missing", f"A {one.aggregation} needs one.")
        if one.window_s is None and one.aggregation is not Aggregation.LAST:
            yield problem(
                f"features.{name}.window_s", "is missing", f"A {one.aggregation} needs a window."
            )


def _named(table: StreamTable) -> Iterator[tuple[str, str]]:
    for name, field in table.entities.items():
        yield f"entities.{name}", field
    for name, one in table.features.items():
        if one.field is not None:
            yield f"features.{name}.field", one.field
