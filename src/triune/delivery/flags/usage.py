"""Where a repository's code names flags, by ``git grep``.

Two things count: a key as a whole text in quotes, anywhere; and any key that is written out in a
call of OpenFeature, in whatever language. A key that is put together at run time is not seen.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from triune.core.git import git

LARGEST_FILE = 1024 * 1024
"""Bytes of a file that is read for calls."""
_NO_CODE = ("json", "jsonl", "md", "rst", "txt", "csv", "lock")
_PLACES = ("--", ":/", *(f":(top,exclude)*.{ending}" for ending in _NO_CODE))
_QUOTES = "\"'`"
_TYPE = "(bool|boolean|string|str|int|integer|long|float|double|number|object|struct)"
_WAY = "(value|details|evaluation)"
_NAMED = rf"((get|use|fetch)_?{_TYPE}_?(flag_?)?{_WAY}|{_TYPE}_?{_WAY}|useflag)"
_CALL = re.compile(
    rf"\b{_NAMED.replace('(', '(?:')}(?:_?(?:details|async))*\s*(?:<[^<>()]*>)?\s*\("
    r"\s*(?:(?:ctx|[\w.]+\.Background\(\)|[\w.]*[cC]ontext(?:\(\))?)\s*,\s*)?"  # Go passes it first
    r"(?:(?:flag_?)?key\s*[=:]\s*)?"
    r"([\"'`])([^\"'`\n$]+)\1",
    re.IGNORECASE,
)


class Use(NamedTuple):
    """A place that names a flag. ``called``: in an evaluation."""

    key: str
    file: str
    line: int
    called: bool = False

    @property
    def place(self) -> str:
        """``src/shop.py:12``, seen from the workspace."""
        return f"{self.file}:{self.line}"


def uses(root: Path, keys: Iterable[str]) -> list[Use]:
    """Every place in the repository of ``root`` that names one of the flags, or evaluates any;
    in files that git has or does not ignore.

    Raises
    ------
    TriuneError: (``git-failed``), also where there is no repository.
    """
    found = {(one.key, one.file, one.line): one for one in _literals(root, sorted(keys))}
    found |= {(one.key, one.file, one.line): one for one in _calls(root)}
    return sorted(found.values(), key=lambda one: (one.key, one.file, one.line))


def _literals(root: Path, keys: list[str]) -> Iterator[Use]:
    words = {f"{quote}{key}{quote}": key for key in keys for quote in _QUOTES if key.isprintable()}
    if not words:
        return
    listing = ("grep", "--untracked", "-I", "-n", "-z", "-F", "-f", "-")
    raw = git(root, *listing, *_PLACES, stdin="\n".join(words).encode(), fine=(0, 1))
    for hit in raw.split(b"\n"):
        file, _, rest = hit.partition(b"\0")
        line, _, text = rest.partition(b"\0")
        written = text.decode(errors="replace")
        for key in {key for word, key in words.items() if word in written}:
            yield Use(key, file.decode(errors="replace"), int(line))


def _calls(root: Path) -> Iterator[Use]:
    listing = ("grep", "--untracked", "-I", "-l", "-z", "-i", "-E", "-e", _NAMED)
    for name in git(root, *listing, *_PLACES, fine=(0, 1)).split(b"\0"):
        path = root / name.decode(errors="surrogateescape")
        if not name or not path.is_file() or path.stat().st_size > LARGEST_FILE:
            continue
        text = path.read_text(errors="replace")
        for call in _CALL.finditer(text):
            line = text.count("\n", 0, call.start(2)) + 1
            yield Use(call[2], name.decode(errors="replace"), line, called=True)
