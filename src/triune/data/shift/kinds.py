"""How a column is compared, from the name DuckDB gives its type. Pure."""

from __future__ import annotations

from triune.data.shift.model import Kind

_NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "FLOAT", "DOUBLE", "DECIMAL")
_TIMES = ("DATE", "TIMESTAMP")
_CATEGORIES = ("VARCHAR", "BOOLEAN", "UUID", "ENUM")
_NESTED = ("STRUCT", "MAP", "UNION", "VARIANT")


def kind_of(type_: str) -> Kind:
    """The kind of a type.

    >>> [kind_of(t).value for t in ("UBIGINT", "DECIMAL(9,2)", "TIMESTAMP WITH TIME ZONE")]
    ['number', 'number', 'time']
    >>> [kind_of(t).value for t in ("VARCHAR", "INTEGER[]", "BLOB", '"NULL"')]
    ['category', 'nested', 'other', 'empty']
    """
    name = type_.strip('"').upper()
    if name == "NULL":
        return Kind.EMPTY
    if name.startswith(_CATEGORIES):
        return Kind.NESTED if name.endswith("]") else Kind.CATEGORY
    if name.endswith("]") or name.startswith(_NESTED):
        return Kind.NESTED
    if name.startswith(_NUMBERS) or name.removeprefix("U").startswith(_NUMBERS):
        return Kind.NUMBER
    return Kind.TIME if name.startswith(_TIMES) else Kind.OTHER


def common(before: Kind, after: Kind) -> Kind | None:
    """The kind that both are compared as; None when they hold different things.

    A side that holds nothing takes the other's kind.
    """
    if before is after:
        return Kind.CATEGORY if before is Kind.EMPTY else before
    if Kind.EMPTY in {before, after}:
        return after if before is Kind.EMPTY else before
    return None
