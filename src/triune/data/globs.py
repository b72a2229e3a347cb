"""Which of a dataset's files a glob means. Pure."""

from __future__ import annotations

from fnmatch import fnmatch

_SPECIAL = "*?["


def matches(name: str, pattern: str) -> bool:
    """Whether a relative name matches; ``**/`` at the beginning also means no folder."""
    return fnmatch(name, pattern) or (pattern.startswith("**/") and fnmatch(name, pattern[3:]))


def literal(name: str) -> str:
    """The glob that means this name alone.

    >>> literal("x[1].csv")
    'x[[]1].csv'
    """
    return "".join(f"[{letter}]" if letter in _SPECIAL else letter for letter in name)
