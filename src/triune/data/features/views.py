"""What a feature view is, apart from Feast: its version, layout and table. Pure but for hashing.

A view's version is the hash of all that changes its values: join keys, features with their types,
time to live, and the table with its columns. Anything else (owner, tags, description) may change
without making another version.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from triune.core.ids import reference
from triune.data.features.asof import Source
from triune.data.features.online.layout import ViewLayout


@dataclass(frozen=True)
class View:
    """One version of a feature view.

    Attributes
    ----------
    keys: each join key and its Feast value type
    features: each feature and its Feast value type
    table: path of the batch source, relative to the workspace or absolute
    columns: feature -> column of the table, where they differ
    pushed: whether rows may be pushed to it besides
    """

    project: str
    name: str
    keys: tuple[tuple[str, str], ...]
    features: tuple[tuple[str, str], ...]
    table: str
    time: str
    created: str | None = None
    ttl_seconds: float = 0.0
    columns: Mapping[str, str] | None = None
    pushed: bool = False
    description: str = ""

    @cached_property
    def version(self) -> str:
        """The first 12 hex digits of the definition's hash."""
        told = [
            self.name,
            sorted(self.keys),
            self.features,
            self.ttl_seconds,
            [self.table, self.time, self.created or "", sorted((self.columns or {}).items())],
            self.pushed,
        ]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:12]

    @property
    def ref(self) -> str:
        """``features:<name>@<version>``."""
        return reference("features", f"{self.name}@{self.version}")

    @cached_property
    def layout(self) -> ViewLayout:
        """How its rows are packed online."""
        return ViewLayout(
            self.project,
            self.name,
            self.version,
            tuple(name for name, _ in self.keys),
            self.features,
            self.ttl_seconds,
        )

    def source(self, root: Path, wanted: Mapping[str, str] | None = None) -> Source:
        """Its table; ``wanted`` has feature -> name in the result (default: all, by their own)."""
        columns = self.columns or {}
        names = wanted or {name: name for name, _ in self.features}
        return Source(
            path=str(root / self.table),
            time=self.time,
            created=self.created,
            keys={columns.get(name, name): name for name, _ in self.keys},
            features={columns.get(name, name): shown for name, shown in names.items()},
            ttl_ns=round(self.ttl_seconds * 1e9),
        )

    def to_json(self) -> dict[str, Any]:
        """As JSON values; `from_json` gives it back."""
        return {
            "project": self.project,
            "name": self.name,
            "version": self.version,
            "keys": [list(one) for one in self.keys],
            "features": [list(one) for one in self.features],
            "table": self.table,
            "time": self.time,
            "created": self.created,
            "ttl_seconds": self.ttl_seconds,
            "columns": dict(self.columns or {}),
            "pushed": self.pushed,
            "description": self.description,
        }

    @classmethod
    def from_json(cls, table: Mapping[str, Any]) -> View:
        """The view that `to_json` wrote."""
        values = {name: value for name, value in table.items() if name != "version"}
        for name in ("keys", "features"):
            values[name] = tuple((str(one), str(kind)) for one, kind in table[name])
        values["columns"] = table["columns"] or None
        return cls(**values)


def differences(before: View, after: View) -> tuple[str, ...]:
    """What changed between two versions of a view, one sentence each."""
    found = []
    old, new = dict(before.features), dict(after.features)
    found += [f"feature {name} ({new[name]}) is new" for name in new if name not in old]
    found += [f"feature {name} is gone" for name in old if name not in new]
    found += [
        f"feature {name} was {old[name]}, is {new[name]}"
        for name in new
        if name in old and old[name] != new[name]
    ]
    if list(old) != list(new) and sorted(old) == sorted(new):
        found.append("the features have another order")
    for what in ("keys", "ttl_seconds", "table", "time", "created", "columns", "pushed"):
        was, now = getattr(before, what), getattr(after, what)
        if was != now:
            found.append(f"{_WORDS[what]} was {_shown(was)}, is {_shown(now)}")
    return tuple(found)


_WORDS = {
    "keys": "the entity",
    "ttl_seconds": "the time to live (seconds)",
    "table": "the table",
    "time": "the column of times",
    "created": "the column of created times",
    "columns": "the mapping of columns",
    "pushed": "whether rows may be pushed",
}


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(f"{name} ({kind})" for name, kind in value) or "none"
    return "none" if value is None else str(value)
