"""What pydantic found wrong with a table, as sentences that say how to mend it. Pure."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterable, Mapping
from datetime import date, time
from typing import Any

from pydantic import ValidationError

from triune.core.errors import Problem

KnownKeys = Callable[[list[str]], list[str]]

_LONGEST = 60
_TYPES = {
    "string_type": ("must be a text", 'Write a text in quotes, e.g. `{key} = "..."`.'),
    "int_type": (
        "must be a whole number",
        "Write a whole number without quotes, e.g. `{key} = 1`.",
    ),
    "int_from_float": ("must be a whole number", "Write a whole number, e.g. `{key} = 1`."),
    "float_type": ("must be a number", "Write a number without quotes, e.g. `{key} = 1.5`."),
    "finite_number": ("must be a finite number", "Write a number, e.g. `{key} = 1.5`."),
    "bool_type": ("must be true or false", "Write `{key} = true` or `{key} = false`, no quotes."),
    "tuple_type": ("must be a list", "Write a list, e.g. `{key} = [{item}]`."),
    "dict_type": ("must be a table", "Write a table, e.g. `[{path}.<name>]` and its keys below."),
    "model_type": ("must be a table", "Write a table: `[{path}]` and its keys below."),
}
_BOUNDS = {
    "greater_than": ("must be greater than {gt:g}", "Write a number greater than {gt:g}."),
    "greater_than_equal": ("must be {ge:g} or more", "Write a number that is {ge:g} or more."),
    "less_than": ("must be less than {lt:g}", "Write a number less than {lt:g}."),
    "less_than_equal": ("must be {le:g} or less", "Write a number that is {le:g} or less."),
    "string_too_short": ("must not be empty", "Write at least {min_length} character."),
    "string_too_long": ("is too long", "Write {max_length} characters or fewer."),
}


def problems(error: ValidationError, file: str, known_keys: KnownKeys) -> list[Problem]:
    """Every mistake once; ``known_keys`` says which keys a table at a place may have."""
    found: dict[str, Problem] = {}
    for item in error.errors():
        place = [str(part) for part in item["loc"] if part != "[key]"]
        if place[2:3] == ["params"] and len(place) > 4:
            place = place[:4]
            what = "must be a text, a number, true or false", "Write one value; no list, no table."
            explained = _with_value(what[0], item["input"]), what[1]
        else:
            explained = _explain(item, place, known_keys)
        key = ".".join(place)
        found.setdefault(key, Problem(file, key, *explained))
    return list(found.values())


def closest(name: str, known: Iterable[str]) -> str:
    """The mend for a name that is not among the known ones."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    if near:
        return f"Did you mean `{near[0]}`?"
    if names:
        return "Known: " + ", ".join(f"`{k}`" for k in names) + "."
    return "None is declared; remove the key or declare it."


def _explain(item: Any, place: list[str], known_keys: KnownKeys) -> tuple[str, str]:
    """What is wrong and how to mend it."""
    match item["type"]:
        case "extra_forbidden":
            return "unknown key", closest(place[-1], known_keys(place[:-1]))
        case "missing":
            return "missing", f"Add `{place[-1]} = ...`."
        case "string_pattern_mismatch":
            return _pattern(str(item["input"]), item["ctx"]["pattern"])
    what, mend = _explain_value(item, place)
    return _with_value(what, item["input"]), mend


def _explain_value(item: Any, place: list[str]) -> tuple[str, str]:
    kind, bounds = item["type"], item.get("ctx", {})
    if kind == "enum":
        choices = bounds["expected"].replace("'", "`")
        return "is not one of the choices", f"Write {choices}, in quotes."
    if kind == "value_error":
        what, _, mend = str(bounds["error"]).partition("; ")
        return what, f"{mend[:1].upper()}{mend[1:]}." if mend else "Change the value."
    if kind in _BOUNDS:
        what, mend = _BOUNDS[kind]
        return what.format(**bounds), mend.format(**bounds)
    if kind in _TYPES:
        what, mend = _TYPES[kind]
        return what, mend.format(key=_key(place), path=_path(place), item=_item(place))
    return item["msg"][:1].lower() + item["msg"][1:], "Change the value."


def _pattern(value: str, pattern: str) -> tuple[str, str]:
    if ":" in pattern:
        return f"{value!r} is not an entry point", "Write `module:function`."
    return (
        f"{value!r} is not a valid name",
        "Use lower-case letters, digits, '-' and '_', a letter first.",
    )


def _with_value(what: str, value: object) -> str:
    text = as_toml(value)
    return f"{what}, found {text if len(text) <= _LONGEST else text[: _LONGEST - 1] + '…'}"


def as_toml(value: object) -> str:
    """A value as it stands in a TOML file."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return json.dumps(value, ensure_ascii=False)
        case Mapping():
            inner = ", ".join(f"{key} = {as_toml(one)}" for key, one in value.items())
            return f"{{ {inner} }}" if inner else "{}"
        case list() | tuple():
            return f"[{', '.join(as_toml(one) for one in value)}]"
        case date() | time():
            return value.isoformat()
        case _:
            return str(value)


def _key(place: list[str]) -> str:
    """The key to write; an entry of a list is named by its list."""
    return next((part for part in reversed(place) if not part.isdigit()), "")


def _path(place: list[str]) -> str:
    return ".".join(f'"{part}"' if "/" in part else part for part in place)


def _item(place: list[str]) -> str:
    return '{ name = "...", datatype = "FP64" }' if place[-1] == "inputs" else '"..."'
