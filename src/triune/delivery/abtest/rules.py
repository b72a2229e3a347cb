"""A test's split as a rule of its flag, in flagd's format: any client of flags assigns alike. Pure.

The test's rule stands before the flag's own: whom the test takes gets a variant of it, everybody
else what the flag gave before. Buckets are those of one text, ``<salt>:<unit>``
(`triune.core.assignment.salted`), since a rule cannot name another salt than its flag's key.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from triune.core.assignment import TOTAL
from triune.delivery.abtest.model import Declaration, Layer
from triune.delivery.flags.model import Flag

RUN = "abTest"
"""In a flag's metadata the run whose rule it has."""

_INSIDE = "in"


def participation(declaration: Declaration) -> Any:
    """Whom the test takes: who has a targeting key, is in its layer's slice, not held out, eligible
    and in a variant's range."""
    parts: list[Any] = [{"!!": [{"var": "targetingKey"}]}]
    if declaration.layer is not None:
        parts.append(_within(declaration.layer))
    if declaration.holdout is not None:
        parts.append({"!": [_within(declaration.holdout)]})
    if declaration.eligibility is not None:
        parts.append(declaration.eligibility)
    taken = sum(declaration.shares.values())
    parts.append(_within(Layer(declaration.salt, 0, taken)))
    return {"and": parts}


def split(declaration: Declaration) -> Any:
    """Which variant whom the test takes gets."""
    parts = [[v.flag_variant, v.share] for v in declaration.variants]
    rest = TOTAL - sum(v.share for v in declaration.variants)
    unused = [[declaration.variants[0].flag_variant, rest]] if rest else []
    return {"fractional": [_by(declaration.salt), *parts, *unused]}


def put_in(flag: Flag, declaration: Declaration, run: str) -> Flag:
    """The flag with the test's rule before its own. ``run`` is the id of the event that starts it:
    in the flag's metadata it tells clients that what they evaluate is the test's."""
    rule = [participation(declaration), split(declaration)]
    if flag.targeting is not None:
        rule.append(flag.targeting)
    return replace(flag, targeting={"if": rule}, metadata={**flag.metadata, RUN: run})


def is_in(flag: Flag, declaration: Declaration, run: str) -> bool:
    """Whether the flag has the test's rule, and gives what it says."""
    mine = flag.metadata.get(RUN) == run
    return flag.enabled and mine and _chain(flag, declaration) is not None


def taken_out(flag: Flag, declaration: Declaration, run: str) -> Flag:
    """The flag without the test's rule, with whatever else was changed of it meanwhile."""
    left = {name: value for name, value in flag.metadata.items() if (name, value) != (RUN, run)}
    without = replace(flag, metadata=left)
    chain = _chain(flag, declaration)
    if chain is None:
        return without
    rest = chain[2:]
    other = rest[0] if len(rest) == 1 else {"if": rest} if rest else None
    return replace(without, targeting=other)


def _chain(flag: Flag, declaration: Declaration) -> list[Any] | None:
    rule = flag.targeting
    chain = rule.get("if") if isinstance(rule, dict) else None
    wanted = [participation(declaration), split(declaration)]
    return chain if isinstance(chain, list) and chain[:2] == wanted else None


def _by(salt: str) -> Any:
    return {"cat": [f"{salt}:", {"var": "targetingKey"}]}


def _within(part: Layer) -> Any:
    """Whether a unit's bucket lies in a slice."""
    after = TOTAL - part.first - part.size
    ranges = [["before", part.first], [_INSIDE, part.size], ["after", after]]
    return {"==": [{"fractional": [_by(part.name), *ranges]}, _INSIDE]}
