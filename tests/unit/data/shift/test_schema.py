"""Columns that came, went or changed their type."""

from __future__ import annotations

import pytest

from triune.data.shift.kinds import common, kind_of
from triune.data.shift.model import Kind, SchemaChange, SchemaKind
from triune.data.shift.schema import changes, matched
from triune.data.shift.sources import Column


def columns(**types: str) -> dict[str, Column]:
    return {n: Column(n, t, kind_of(t), f"c{i}") for i, (n, t) in enumerate(types.items())}


def test_each_change_is_named() -> None:
    before = columns(gone="BIGINT", wider="INTEGER", other="BIGINT", same="DATE", tags="VARCHAR[]")
    after = columns(wider="BIGINT", other="VARCHAR", same="DATE", tags="VARCHAR[]", new="BLOB")
    assert changes(before, after, loose=False) == (
        SchemaChange("gone", SchemaKind.REMOVED, "BIGINT", None),
        SchemaChange("wider", SchemaKind.RETYPED, "INTEGER", "BIGINT"),
        SchemaChange("other", SchemaKind.RETYPED, "BIGINT", "VARCHAR"),
        SchemaChange("new", SchemaKind.ADDED, None, "BLOB"),
    )
    compared, skipped = matched(before, after)
    assert [(one.after.name, one.kind) for one in compared] == [
        ("wider", Kind.NUMBER),
        ("same", Kind.TIME),
    ]
    assert [(one.column, one.why) for one in skipped] == [
        ("other", "it changed from BIGINT to VARCHAR: its values have nothing in common"),
        ("tags", "VARCHAR[]: nested values are not compared"),
    ]


def test_the_width_of_a_guessed_type_says_nothing() -> None:
    before, after = columns(x="BIGINT", y="BIGINT"), columns(x="SMALLINT", y="VARCHAR")
    assert [one.column for one in changes(before, after, loose=True)] == ["y"]


@pytest.mark.parametrize("kind", Kind)
def test_a_column_without_values_takes_the_kind_of_the_other(kind: Kind) -> None:
    wanted = Kind.CATEGORY if kind is Kind.EMPTY else kind
    assert common(kind, Kind.EMPTY) is common(Kind.EMPTY, kind) is wanted


@pytest.mark.parametrize("type_", ["STRUCT(a INTEGER)", "MAP(VARCHAR, INTEGER)", "DOUBLE[3]"])
def test_nested_types_are_known(type_: str) -> None:
    assert kind_of(type_) is Kind.NESTED


def test_every_kind_has_its_sentence() -> None:
    assert all(kind.sentence for kind in Kind)
