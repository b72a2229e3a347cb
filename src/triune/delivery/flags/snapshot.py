"""All flags of one moment, with a version that is a checksum of them. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from triune.core.errors import ConfigError, Problem
from triune.delivery.flags import document
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
    """The snapshot in a text that `document.text_of` wrote; whether it is the one that it should
    be, its version tells. Rules are not looked at: they were when their flag was stored.

    Raises
    ------
    ConfigError: it is no JSON, or has no flags in it.
    """
    return of({key: flag for key, flag in _flags(text, source).items() if flag is not None})


def change_text(change: Change) -> str:
    """A change as ``{"flags": {key: flag or null}}``, on one line."""
    flags = {key: None if flag is None else document.of_flag(flag) for key, flag in change.items()}
    return json.dumps({"flags": flags}, sort_keys=True, ensure_ascii=True)


def read_change(text: str, *, source: str) -> Change:
    """The change in a text that `change_text` wrote.

    Raises
    ------
    ConfigError: it is no JSON, or has no flags in it.
    """
    return _flags(text, source)


def _flags(text: str, source: str) -> dict[str, Flag | None]:
    try:
        return {
            key: None if raw is None else _flag(key, raw)
            for key, raw in json.loads(text)["flags"].items()
        }
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        what = f"holds no flags: {type(error).__name__}: {error}"
        raise ConfigError([Problem(source, "", what, "Send flagd's format.")]) from None


def _flag(key: str, raw: dict[str, Any]) -> Flag:
    """Raises whatever a shape that is none of a flag's makes it raise."""
    found = document.flag_of(key, raw)
    if found is None or not (isinstance(found.variants, dict) and isinstance(found.metadata, dict)):
        raise TypeError(f"{key!r} is no flag")
    if not isinstance(found.default, str | None):
        raise TypeError(f"the default variant of {key!r} is no text")
    return found
