"""A flag as flagd's format has it, and what evaluating it gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple

Json = Any
Metadata = Mapping[str, float | int | str | bool]


NO_METADATA: Metadata = MappingProxyType({})


class Reason(StrEnum):
    """Why an evaluation gave its value; OpenFeature's words."""

    STATIC = "STATIC"
    DEFAULT = "DEFAULT"
    TARGETING_MATCH = "TARGETING_MATCH"
    DISABLED = "DISABLED"
    ERROR = "ERROR"


class Code(StrEnum):
    """What went wrong; OpenFeature's words."""

    FLAG_NOT_FOUND = "FLAG_NOT_FOUND"
    PARSE_ERROR = "PARSE_ERROR"
    TYPE_MISMATCH = "TYPE_MISMATCH"
    TARGETING_KEY_MISSING = "TARGETING_KEY_MISSING"
    PROVIDER_NOT_READY = "PROVIDER_NOT_READY"
    GENERAL = "GENERAL"


class Kind(StrEnum):
    """What type of value the caller asks for."""

    BOOLEAN = "boolean"
    STRING = "string"
    INTEGER = "integer"
    FLOAT = "float"
    OBJECT = "object"
    ANY = "any"


class Details(NamedTuple):
    """What an evaluation gave: with an ``error`` the value is the caller's default."""

    value: Any
    variant: str | None
    reason: Reason
    metadata: Metadata = NO_METADATA
    error: Code | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag. ``default`` is the variant without targeting; None: the caller's default value."""

    key: str
    enabled: bool
    variants: Mapping[str, Json]
    default: str | None = None
    targeting: Json = None
    metadata: Metadata = field(default_factory=dict)


def variant_name(answer: object) -> str:
    """The variant that a rule's answer names."""
    if isinstance(answer, str):
        return answer
    return str(answer).lower() if isinstance(answer, bool) else str(answer)


class State(NamedTuple):
    """A flag as it stands; ``approvals``: how many other people must approve a change of it."""

    flag: Flag | None
    approvals: int = 0
