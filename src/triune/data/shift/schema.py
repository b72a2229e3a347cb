"""Which columns came, went or changed their type. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from triune.data.shift.kinds import common
from triune.data.shift.model import Kind, SchemaChange, SchemaKind, Skipped
from triune.data.shift.sources import Column


@dataclass(frozen=True, slots=True)
class Matched:
    """A column that can be compared, and as what."""

    before: Column
    after: Column
    kind: Kind


def changes(
    before: Mapping[str, Column], after: Mapping[str, Column], *, loose: bool
) -> tuple[SchemaChange, ...]:
    """What differs between two schemas.

    ``loose`` when the types of one of them were guessed from text: types then differ only when they
    hold different kinds of values. A column whose type says nothing differs from none.
    """
    return tuple(_changes(before, after, loose=loose))


def _changes(
    before: Mapping[str, Column], after: Mapping[str, Column], *, loose: bool
) -> Iterable[SchemaChange]:
    for name, column in before.items():
        new = after.get(name)
        if new is None:
            yield SchemaChange(name, SchemaKind.REMOVED, column.type, None)
        elif _retyped(column, new, loose=loose):
            yield SchemaChange(name, SchemaKind.RETYPED, column.type, new.type)
    for name, column in after.items():
        if name not in before:
            yield SchemaChange(name, SchemaKind.ADDED, None, column.type)


def _retyped(before: Column, after: Column, *, loose: bool) -> bool:
    if loose or Kind.EMPTY in {before.kind, after.kind}:
        return common(before.kind, after.kind) is None
    return before.type != after.type


def matched(
    before: Mapping[str, Column], after: Mapping[str, Column]
) -> tuple[list[Matched], tuple[Skipped, ...]]:
    """The columns of both that are compared, and those that cannot be."""
    found, skipped = [], []
    for name, old in before.items():
        new = after.get(name)
        if new is None:
            continue
        kind = common(old.kind, new.kind)
        if kind is None:
            words = f"it changed from {old.type} to {new.type}: its values have nothing in common"
            skipped.append(Skipped(name, words))
        elif kind in {Kind.NESTED, Kind.OTHER}:
            skipped.append(Skipped(name, f"{new.type}: {_WORDS[kind]}"))
        else:
            found.append(Matched(old, new, kind))
    return found, tuple(skipped)


_WORDS = {
    Kind.NESTED: "nested values are not compared",
    Kind.OTHER: "values of this type are not compared",
}
