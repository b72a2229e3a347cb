"""All flags of one moment, with a version that is a checksum of them. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from triune.core.errors import ConfigError, Problem
from triune.delivery.flags import definitions, document
from triune.delivery.flags.model import Flag

Change = Mapping[str, Flag | None]
"""The flags that are different afterwards; None: gone."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Flags with the sum of their digests, from which a change's version follows without looking
    at the flags that it leaves as they are."""

    flags: Mapping[str, Flag]
    digests: int

    @property
    def version(self) -> str:
        """12 hex digits of the content."""
        return document.version_of_sum(self.digests)

    def difference(self, after: Snapshot) -> Change:
        """What makes ``after`` of this."""
        gone: dict[str, Flag | None] = {key: None for key in self.flags if key not in after.flags}
        return gone | {
            key: flag for key, flag in after.flags.items() if flag != self.flags.get(key)
        }

    def changed(self, change: Change) -> Snapshot:
        """These flags after a change."""
        flags, digests = dict(self.flags), self.digests
        for key, flag in change.items():
            before = flags.pop(key, None)
            digests -= 0 if before is None else document.digest_of(before)
            if flag is not None:
                flags[key] = flag
                digests += document.digest_of(flag)
        return Snapshot(flags, digests)


def of(flags: Mapping[str, Flag]) -> Snapshot:
    """A snapshot of these flags."""
    return Snapshot(flags, sum(map(document.digest_of, flags.values())))


def read(text: str, *, source: str) -> Snapshot:
    """The snapshot in a text.

    Raises
    ------
    ConfigError: it is no JSON, or every mistake of its flags.
    """
    return of(definitions.read(_json(text, source), source=source).flags)


def change_text(change: Change) -> str:
    """A change as ``{"flags": {key: flag or null}}``, on one line."""
    flags = {key: None if flag is None else document.of_flag(flag) for key, flag in change.items()}
    return json.dumps({"flags": flags}, sort_keys=True, ensure_ascii=True)


def read_change(text: str, *, source: str) -> Change:
    """The change in a text.

    Raises
    ------
    ConfigError: it is no JSON, or every mistake of its flags.
    """
    raw = _json(text, source)
    flags = raw.get("flags") if isinstance(raw, dict) else None
    if not isinstance(flags, dict):
        raise ConfigError([Problem(source, "flags", "must be an object", 'Send `{"flags": {}}`.')])
    there = {key: flag for key, flag in flags.items() if flag is not None}
    found = definitions.read({"flags": there}, source=source).flags
    return {key: found.get(key) for key in flags}


def _json(text: str, source: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError([Problem(source, "", f"is no JSON: {error}", "Send JSON.")]) from None
