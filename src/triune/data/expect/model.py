"""The nouns of checking a dataset."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from triune.core.expect_config import ExpectTable


@dataclass(frozen=True, slots=True)
class Failure:
    """One rule that does not hold.

    Attributes
    ----------
    column: empty for a rule about the file
    count: how many rows or files break it
    examples: a few of the values that do, with their rows (from 0)
    """

    file: str
    column: str
    rule: str
    count: int
    examples: tuple[str, ...] = ()
    mend: str = ""

    def __str__(self) -> str:
        where = f"{self.file}: {self.column}" if self.column else self.file
        shown = f", e.g. {', '.join(self.examples)}" if self.examples else ""
        return f"{where}: {self.rule}: {self.count}{shown}"


@dataclass(frozen=True, slots=True)
class Checked:
    """A dataset version held against its expectations; ``verdict`` is `pass` or `fail`."""

    name: str
    version: str
    verdict: str
    files: int
    rows: int
    failures: tuple[Failure, ...]


def digest(tables: Sequence[ExpectTable]) -> str:
    """The first 12 hex digits of the expectations' hash."""
    text = json.dumps([table.model_dump(mode="json") for table in tables], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
