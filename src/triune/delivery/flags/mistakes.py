"""What is wrong with one of flagd's own operations, seen from its arguments alone. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from triune.delivery.flags.fractional import LARGEST_TOTAL
from triune.delivery.flags.operators import VERSION_OPERATORS, version


def mistakes(name: str, words: Sequence[Any]) -> Iterator[tuple[str, str]]:
    """Each mistake of an operation, and how to mend it."""
    if name == "fractional":
        yield from _of_fractional(words)
    elif name in ("starts_with", "ends_with"):
        yield from _of_texts(name, words)
    elif name == "sem_ver":
        yield from _of_versions(words)
    elif name == "var" and words and isinstance(words[0], str):
        yield from _of_path(words[0])


def _of_texts(name: str, words: Sequence[Any]) -> Iterator[tuple[str, str]]:
    if len(words) != 2:
        yield "takes two texts", f'Write `{{"{name}": [{{"var": "email"}}, "a"]}}`.'
    for word in words:
        if not isinstance(word, str | dict):
            yield f"{word!r} is no text", "It would match nobody: write it in quotes."


def _of_versions(words: Sequence[Any]) -> Iterator[tuple[str, str]]:
    if len(words) != 3:
        yield "takes a version, an operator and a version", 'E.g. `[{"var": "v"}, ">=", "1.2"]`.'
        return
    left, between, right = words
    known = isinstance(between, str) and between in VERSION_OPERATORS
    if not known and not isinstance(between, dict):
        yield f"no operator {between!r}", f"One of {' '.join(sorted(VERSION_OPERATORS))}."
    for word in (left, right):
        if not isinstance(word, dict) and version(str(word)) is None:
            yield f"{word!r} is no version", "It would match nobody: write e.g. `1.2.3`."


def _of_path(path: str) -> Iterator[tuple[str, str]]:
    known = ("$flagd", "$flagd.flagKey", "$flagd.timestamp")
    if path.split(".", maxsplit=1)[0] == "$flagd" and path not in known:
        yield f"flagd tells no {path!r}", f"It tells {known[1]} and {known[2]}."


def _of_fractional(words: Sequence[Any]) -> Iterator[tuple[str, str]]:
    parts = words if words and isinstance(words[0], list) else words[1:]
    total = 0
    for number, part in enumerate(parts):
        where = f"part {number + 1}"
        if not isinstance(part, list) or not 1 <= len(part) <= 2:
            yield f"{where} is no variant with a weight", 'Write `["on", 50]`.'
            return
        weight = part[1] if len(part) == 2 else 1
        if isinstance(weight, dict):
            return  # a rule gives it
        if isinstance(weight, bool) or not isinstance(weight, int):
            yield f"{where} has the weight {weight!r}", "A weight is a whole number."
            return
        if weight < 0:
            yield f"{where} has a negative weight", "A weight is 0 or more."
        total += max(0, weight)
    if not parts:
        yield "has no variants", 'Write `["on", 50], ["off", 50]`.'
    elif not total:
        yield "all weights are 0", "Nobody would get a variant: give one of them a weight."
    elif total > LARGEST_TOTAL:
        yield f"weights come to {total}", f"At most {LARGEST_TOTAL}."
