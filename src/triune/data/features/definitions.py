"""Reading the workspace's Feast definitions. Imports Feast."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from feast import Entity, FeatureService, FeatureView, FileSource, OnDemandFeatureView, PushSource
from feast.value_type import ValueType

from triune.core.errors import ConfigError, Problem
from triune.data.features import kinds
from triune.data.features.online.layout import ViewLayout
from triune.data.features.views import View


@dataclass(frozen=True, slots=True)
class Definitions:
    """Feast's objects, and the views as Triune knows them."""

    objects: tuple[Any, ...]
    views: tuple[View, ...]


def read(modules: Sequence[str], code: Path, project: str, root: Path) -> Definitions:
    """Import the modules and take every Feast object at their top level.

    Raises
    ------
    ConfigError: with every mistake, each naming module, object, what is wrong and how to mend it.
    """
    problems: list[Problem] = []
    loaded = [one for name in modules if (one := _imported(name, code, problems)) is not None]
    objects = list(_objects(loaded))
    entities = {one.name: one for one in objects if isinstance(one, Entity)}
    views = []
    for view in objects:
        if isinstance(view, FeatureView):
            made = _view(view, entities, project, root, problems)
            views += [made] if made is not None else []
        elif not isinstance(view, Entity | FeatureService | PushSource | FileSource):
            problems.append(_unusable(view))
    problems += _twice(views)
    if not views and not problems:
        problems.append(
            Problem(", ".join(modules), "", "no feature view is defined", "Define a FeatureView.")
        )
    if problems:
        raise ConfigError(problems)
    return Definitions(tuple(objects), tuple(views))


def _imported(name: str, code: Path, problems: list[Problem]) -> ModuleType | None:
    folder = str(code.resolve())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        return importlib.import_module(name)
    except Exception as error:
        what = f"does not import: {type(error).__name__}: {error}"
        problems.append(Problem(name, "", what, f"Try `python -c 'import {name}'` in {folder}."))
        return None


def _objects(modules: Iterable[ModuleType]) -> Iterator[Any]:
    """Every Feast object once, those that others need first."""
    wanted = (Entity, FileSource, PushSource, FeatureView, OnDemandFeatureView, FeatureService)
    found: dict[int, Any] = {}
    for module in modules:
        for _, value in inspect.getmembers(module, lambda value: isinstance(value, wanted)):
            found.setdefault(id(value), value)
    yield from sorted(
        found.values(), key=lambda one: next(i for i, t in enumerate(wanted) if isinstance(one, t))
    )


def layout_of(view: FeatureView, project: str, root: Path) -> ViewLayout:
    """How a view's rows are packed, from Feast's own record of it.

    Raises
    ------
    ConfigError: it is none that the online store can hold.
    """
    problems: list[Problem] = []
    made = _view(view, {}, project, root, problems)
    if made is None:
        raise ConfigError(problems)
    return made.layout


def _view(
    view: FeatureView,
    entities: dict[str, Entity],
    project: str,
    root: Path,
    problems: list[Problem],
) -> View | None:
    source, mistakes = view.batch_source, []
    keys = _keys(view, entities)
    features = [(one.name, _kind(one.dtype)) for one in view.features]
    if not isinstance(source, FileSource):
        mistakes.append(("source", "its table is not a FileSource", "Use a Parquet or CSV file."))
    elif not source.timestamp_field:
        mistakes.append(("source", "it names no column of times", "Set timestamp_field."))
    if not features:
        mistakes.append(("schema", "it declares no feature", "List its features as Field(...)."))
    if not keys:
        mistakes.append(("entities", "it has no entity", "Give it the entity it is about."))
    mistakes += _mistyped(view, keys, features)
    for what, words, mend in mistakes:
        problems.append(Problem(f"feature view {view.name}", what, words, mend))
    if mistakes:
        return None
    return View(
        project=project,
        name=view.name,
        keys=tuple(keys),
        features=tuple(features),
        table=_near(source.path, root),
        time=source.timestamp_field,
        created=source.created_timestamp_column or None,
        ttl_seconds=view.ttl.total_seconds() if view.ttl else 0.0,
        columns={new: old for old, new in (source.field_mapping or {}).items()} or None,
        pushed=view.stream_source is not None,
        description=view.description or "",
    )


def _keys(view: FeatureView, entities: dict[str, Entity]) -> list[tuple[str, str]]:
    """Join keys and their types: as defined, or as Feast's registry has them."""
    if view.entity_columns:
        return [(one.name, _kind(one.dtype)) for one in view.entity_columns]
    named = [entities[name] for name in view.entities if name in entities]
    unknown = ValueType.UNKNOWN
    return [(one.join_key, str((one.value_type or unknown).name)) for one in named]


def _kind(dtype: Any) -> str:
    """The value type's name; empty for a type that Feast lets be written down, and never stored."""
    try:
        return str(dtype.to_value_type().name)
    except KeyError:
        return ""


def _mistyped(
    view: FeatureView, keys: Sequence[tuple[str, str]], features: Sequence[tuple[str, str]]
) -> list[tuple[str, str, str]]:
    """Keys and features of types that cannot be stored."""
    mistakes = []
    for name, kind in keys:
        if kind == "UNKNOWN":
            what = f"the type of join key {name} is not known"
            mistakes.append(("entities", what, "Give the entity a value_type."))
        elif kind not in kinds.KEYS:
            what = f"join key {name} is {kind}, by which nothing can be looked up"
            mistakes.append(("entities", what, f"Use one of {', '.join(sorted(kinds.KEYS))}."))
    types = {one.name: one.dtype for one in view.features}
    for name, kind in features:
        if kind not in kinds.FEATURES:
            what = f"feature {name} is {types[name]}, which Feast cannot store"
            mend = "Use another type: Bytes, String or Json hold anything."
            mistakes.append(("schema", what, mend))
    return mistakes


def _near(path: str, root: Path) -> str:
    """A path below the workspace as relative to it, so that the workspace may be moved."""
    whole = Path(path)
    if whole.is_absolute() and whole.is_relative_to(root):
        return str(whole.relative_to(root))
    return path


def _unusable(thing: Any) -> Problem:
    name = getattr(thing, "name", repr(thing))
    return Problem(
        f"{type(thing).__name__} {name}",
        "",
        "it is computed at reading time, which the packed online store does not do",
        "Compute it in the table or in the model, and leave the definition out.",
    )


def _twice(views: Sequence[View]) -> list[Problem]:
    names = [view.name for view in views]
    return [
        Problem(f"feature view {name}", "", "it is defined twice", "Give each a name of its own.")
        for name in sorted({name for name in names if names.count(name) > 1})
    ]
