"""Expectations as they are written in ``triune.toml``. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from triune.core.expect_config import ExpectTable
from triune.data.expect.suggest import Suggestion

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_EXACT = 1e15


def text(suggestion: Suggestion) -> str:
    """The tables as TOML, one after the other, with a comment on each column left out."""
    parts = [
        f"# From {suggestion.version}: {suggestion.files} tables, {suggestion.rows} rows. "
        "Read it before you keep it."
    ]
    for table in suggestion.tables:
        parts += _table(suggestion.name, table, suggestion.skipped.get(table.files, {}))
    return "\n".join(parts) + "\n"


def _table(dataset: str, table: ExpectTable, skipped: Mapping[str, str]) -> Iterator[str]:
    name = key(dataset)
    values = table.model_dump(mode="json", exclude_defaults=True)
    columns = values.pop("columns", {})
    yield f"\n[[datasets.{name}.expect]]"
    yield from (f"{word} = {value(one)}" for word, one in values.items())
    for column, why in skipped.items():
        yield f"# nothing is suggested for {value(column)}: {_line(why)}"
    if columns:
        yield f"\n[datasets.{name}.expect.columns]"
        yield from (f"{key(column)} = {value(rules)}" for column, rules in columns.items())


def key(name: str) -> str:
    """A key, quoted where it must be."""
    return name if _BARE.fullmatch(name) else value(name)


def value(one: Any) -> str:
    """A value; floats that are whole are written so.

    >>> value({"min": 1.0, "type": "integer", "one_of": ["a", 'b"'], "nullable": False})
    '{ min = 1, type = "integer", one_of = ["a", "b\\\\""], nullable = false }'
    """
    match one:
        case bool():
            return "true" if one else "false"
        case str():
            return json.dumps(one, ensure_ascii=False).replace("\x7f", "\\u007f")
        case float() if one.is_integer() and abs(one) < _EXACT:
            return str(int(one))
        case int() | float():
            return repr(one)
        case list() | tuple():
            return f"[{', '.join(map(value, one))}]"
        case dict():
            inside = ", ".join(f"{key(word)} = {value(item)}" for word, item in one.items())
            return f"{{ {inside} }}" if inside else "{}"
        case _:
            raise TypeError(f"no TOML for {type(one).__name__}")


def _line(words: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in words)
