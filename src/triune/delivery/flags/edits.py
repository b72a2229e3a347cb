"""What people do to a flag, as functions from flag to flag. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from triune.core.errors import NotFound, Refused
from triune.core.mistakes import closest
from triune.delivery.flags.model import Flag

WHOLE = 10_000
"""Weights of a rollout come to this: hundredths of a percent, as the bucket has them."""


def switched(flag: Flag, *, enabled: bool) -> Flag:
    """On or off; off gives every caller its own default."""
    return replace(flag, enabled=enabled)


def defaulting(flag: Flag, variant: str) -> Flag:
    """Another default variant. Raises `NotFound` (``variant-unknown``)."""
    return replace(flag, default=_variant(flag, variant))


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
