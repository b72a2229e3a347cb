"""flagd's own operations on texts and versions. Each gives None for what it cannot compare."""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import lru_cache

import semver

_COMPARED: dict[str, Callable[[semver.Version, semver.Version], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "^": lambda a, b: a.major == b.major,
    "~": lambda a, b: (a.major, a.minor) == (b.major, b.minor),
}
VERSION_OPERATORS = frozenset(_COMPARED)


def starts_with(*args: object) -> bool | None:
    """Whether the first text begins with the second."""
    text = _texts(args)
    return text[0].startswith(text[1]) if text else None


def ends_with(*args: object) -> bool | None:
    """Whether the first text ends with the second."""
    text = _texts(args)
    return text[0].endswith(text[1]) if text else None


def _texts(args: tuple[object, ...]) -> tuple[str, str] | None:
    if len(args) != 2 or not isinstance(args[0], str) or not isinstance(args[1], str):
        return None
    return args[0], args[1]


def sem_ver(*args: object) -> bool | None:
    """Whether two versions stand to each other as the operator between them says."""
    if len(args) != 3 or not isinstance(args[1], str) or args[1] not in _COMPARED:
        return None
    left, right = version(str(args[0])), version(str(args[2]))
    if left is None or right is None:
        return None
    return _COMPARED[args[1]](left, right)


@lru_cache(4096)
def version(text: str) -> semver.Version | None:
    """A version, also without its last numbers and with a ``v`` before it."""
    plain = text[1:] if text.startswith(("v", "V")) else text
    numbers = plain.split("-")[0].split("+")[0]
    missing = 2 - numbers.count(".")
    if missing > 0:
        plain = numbers + ".0" * missing + plain[len(numbers) :]
    try:
        return semver.Version.parse(plain)
    except ValueError:
        return None
