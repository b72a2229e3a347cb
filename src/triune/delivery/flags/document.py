"""Flags as flagd's format has them, and back. Pure; `definitions` reads what others wrote."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from triune.delivery.flags.model import Flag

FIELDS = ("state", "variants", "defaultVariant", "targeting", "metadata")
SCHEMA = "https://flagd.dev/schema/v0/flags.json"


def of_flag(flag: Flag) -> dict[str, Any]:
    """One flag as JSON."""
    made: dict[str, Any] = {
        "state": "ENABLED" if flag.enabled else "DISABLED",
        "variants": dict(flag.variants),
        "defaultVariant": flag.default,
    }
    if flag.targeting is not None:
        made["targeting"] = flag.targeting
    if flag.metadata:
        made["metadata"] = dict(flag.metadata)
    return made


def flag_of(key: str, raw: Mapping[str, Any] | None) -> Flag | None:
    """What `of_flag` wrote; None for None. Not looked at: rules may have become stricter since."""
    if raw is None:
        return None
    return Flag(
        key,
        raw["state"] == "ENABLED",
        raw["variants"],
        raw["defaultVariant"],
        raw.get("targeting"),
        raw.get("metadata", {}),
    )


def differing(before: Flag | None, after: Flag | None) -> tuple[str, ...]:
    """The names of the fields that differ; all of them where one is no flag."""
    if before == after:
        return ()
    if before is None or after is None:
        return FIELDS
    old, new = of_flag(before), of_flag(after)
    return tuple(name for name in FIELDS if old.get(name) != new.get(name))


def difference(before: Flag | None, after: Flag | None) -> str:
    """What is different afterwards, in a line."""
    if before is None or after is None:
        return "made" if before is None else "removed"
    old, new = of_flag(before), of_flag(after)
    return "; ".join(
        f"{name} {json.dumps(old.get(name))} -> {json.dumps(new.get(name))}"
        for name in differing(before, after)
    )


def of_flags(flags: Mapping[str, Flag]) -> dict[str, Any]:
    """A whole file of flagd's."""
    return {"$schema": SCHEMA, "flags": {key: of_flag(flags[key]) for key in sorted(flags)}}


def text_of(flags: Mapping[str, Flag]) -> str:
    """A whole file of flagd's in ASCII: the same flags, the same text."""
    return json.dumps(of_flags(flags), sort_keys=True, ensure_ascii=True)


def digest_of(flag: Flag) -> int:
    """A number made of a flag's key and content; those of all flags add up to their version."""
    raw = json.dumps([flag.key, of_flag(flag)], sort_keys=True, ensure_ascii=True)
    return int.from_bytes(hashlib.sha256(raw.encode()).digest()[:8])


def version_of_sum(digests: int) -> str:
    """The version of flags whose digests come to this sum."""
    return f"{digests % 2**48:012x}"


def version_of(flags: Mapping[str, Flag]) -> str:
    """12 hex digits of the content: the same flags, the same version, in any order."""
    return version_of_sum(sum(map(digest_of, flags.values())))
