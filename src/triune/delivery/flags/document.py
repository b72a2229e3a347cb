"""Flags as flagd's format has them. Pure; `definitions` is the way back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from triune.delivery.flags.model import Flag

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


def of_flags(flags: Mapping[str, Flag]) -> dict[str, Any]:
    """A whole file of flagd's."""
    return {"$schema": SCHEMA, "flags": {key: of_flag(flags[key]) for key in sorted(flags)}}


def version_of(flags: Mapping[str, Flag]) -> str:
    """12 hex digits of the content: the same flags, the same text."""
    raw = json.dumps(of_flags(flags), sort_keys=True, ensure_ascii=True).encode()
    return hashlib.sha256(raw).hexdigest()[:12]
