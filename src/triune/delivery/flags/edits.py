"""What people do to a flag, as values: made at once, or kept for later. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec

from triune.core.errors import NotFound, Refused
from triune.core.mistakes import closest
from triune.delivery.flags import definitions, document
from triune.delivery.flags.model import Flag, State

WHOLE = 10_000
"""Weights of a rollout come to this: hundredths of a percent, as the bucket has them."""

NEW: Mapping[str, Any] = {
    "state": "ENABLED",
    "variants": {"on": True, "off": False},
    "defaultVariant": "off",
}
"""What a flag is made from when nothing else is said: off for everybody."""


class Fields(msgspec.Struct, frozen=True, tag="fields"):
    """Fields of flagd's format get these values; metadata is added to what there is. With
    ``makes`` a flag that is not there is made."""

    values: dict[str, Any]
    makes: bool = False


class Default(msgspec.Struct, frozen=True, tag="default"):
    """Another default variant."""

    variant: str


class Shares(msgspec.Struct, frozen=True, tag="shares"):
    """Each variant to a share of the units, in percent; the rest gets the default variant."""

    percent: dict[str, float]


class Whole(msgspec.Struct, frozen=True, tag="whole"):
    """All of the flag is this, in flagd's format; None: there is none."""

    flag: dict[str, Any] | None

    @classmethod
    def of(cls, flag: Flag | None) -> Whole:
        """The edit that makes a flag this one."""
        return cls(None if flag is None else document.of_flag(flag))


class Protect(msgspec.Struct, frozen=True, tag="protect"):
    """From now on so many people must approve each change."""

    approvals: int


Edit = Fields | Default | Shares | Whole | Protect


def applied(edit: Edit, key: str, now: State) -> State:
    """The flag after an edit.

    Raises
    ------
    NotFound: ``flag-unknown``, ``variant-unknown``.
    Refused: see `rolled_out`.
    ConfigError: what the fields make is no flag.
    """
    if isinstance(edit, Whole):
        return now._replace(flag=document.flag_of(key, edit.flag))
    if isinstance(edit, Protect):
        return now._replace(approvals=edit.approvals)
    if now.flag is None and not (isinstance(edit, Fields) and edit.makes):
        raise NotFound("flag-unknown", f"there is no flag {key!r}", hint="It was removed.")
    match edit:
        case Fields():
            return now._replace(flag=_with_fields(key, now.flag, edit.values))
        case Default(variant):
            assert now.flag is not None
            return now._replace(flag=replace(now.flag, default=_variant(now.flag, variant)))
        case Shares(percent):
            assert now.flag is not None
            return now._replace(flag=rolled_out(now.flag, percent))


_CHECKED = frozenset({"set", "default", "rollout"})


def check(flag: Flag | None, action: str) -> None:
    """Look at what an action makes of a flag; what was so before may be so again, unlooked at.
    Raises `ConfigError` with every mistake."""
    if flag is not None and action in _CHECKED:
        raw = {"flags": {flag.key: document.of_flag(flag)}}
        definitions.read(raw, source=f"flag {flag.key}")


def touched(edit: Edit) -> frozenset[str]:
    """The fields of a flag that an edit writes or builds on."""
    match edit:
        case Fields(values):
            return frozenset(values)
        case Default():
            return frozenset({"defaultVariant"})
        case Shares():
            return frozenset({"targeting", "defaultVariant"})
        case Whole():
            return frozenset(document.FIELDS)
        case Protect():
            return frozenset()


def _with_fields(key: str, flag: Flag | None, values: Mapping[str, Any]) -> Flag:
    raw = dict(NEW) if flag is None else document.of_flag(flag)
    metadata = {**raw.get("metadata", {}), **values.get("metadata", {})}
    made = {**raw, **values, "metadata": metadata}
    read = definitions.read({"flags": {key: made}}, source=f"flag {key}", strict=False)
    return read.flags[key]


def rolled_out(flag: Flag, shares: Mapping[str, float]) -> Flag:
    """Each variant to a share of the units, in percent; the rest gets the default variant.

    Rules stay: whom none of them matches takes part in the split.

    Raises
    ------
    NotFound: (``variant-unknown``).
    Refused: ``shares-wrong`` (below 0, or more than 100 in all), ``default-missing`` (there is a
        rest, and no default variant for it), ``rule-unsplittable`` (its rule is no chain of ``if``
        with an end that could be split).
    """
    weights = _weights(flag, shares)
    split = {"fractional": [[name, weight] for name, weight in weights.items()]}
    return replace(flag, targeting=_ending(flag, flag.targeting, split))


def _weights(flag: Flag, shares: Mapping[str, float]) -> dict[str, int]:
    weights = {_variant(flag, name): round(share * WHOLE / 100) for name, share in shares.items()}
    rest = WHOLE - sum(weights.values())
    if not shares or rest < 0 or any(weight < 0 for weight in weights.values()):
        told = ", ".join(f"{name} {share:g} %" for name, share in shares.items()) or "nothing"
        raise Refused(
            "shares-wrong",
            f"{told} are no shares of 100 %",
            context=f"flag {flag.key}",
            hint="Give each variant 0 or more, together at most 100: `on=25`.",
        )
    if rest:
        if flag.default is None:
            raise Refused(
                "default-missing",
                f"nobody says what the other {rest * 100 / WHOLE:g} % get",
                context=f"flag {flag.key}",
                hint="Name all variants, or give the flag a default variant first.",
            )
        weights[flag.default] = weights.get(flag.default, 0) + rest
    return weights


def _ending(flag: Flag, rule: Any, split: Mapping[str, Any]) -> Any:
    """The rule with the split where it ends: all of it, or the last ``else`` of its ``if``."""
    if not rule or "fractional" in rule:
        return split
    parts = rule.get("if") if isinstance(rule, dict) else None
    if not isinstance(parts, list):
        raise Refused(
            "rule-unsplittable",
            f"the rule of {flag.key!r} is no chain of `if`",
            context=f"flag {flag.key}",
            hint="Write the split into it: `triune flags set ... --targeting`.",
        )
    chain = parts[:-1] if len(parts) % 2 else parts
    return {"if": [*chain, split]}


def _variant(flag: Flag, name: str) -> str:
    if name not in flag.variants:
        raise NotFound(
            "variant-unknown",
            f"flag {flag.key!r} has no variant {name!r}",
            hint=closest(name, list(flag.variants)),
        )
    return name
