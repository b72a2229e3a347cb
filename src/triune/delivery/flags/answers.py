"""Which variants a rule can answer with, seen from the rule alone. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from triune.delivery.flags.model import Flag, variant_name

_TRUTHS = frozenset(
    {"==", "===", "!=", "!==", "<", ">", "<=", ">=", "!", "!!", "in", "all", "some", "none"}
)
_PERHAPS = frozenset({"starts_with", "ends_with", "sem_ver"})
"""True or false, or nothing for what cannot be compared."""


class Answers(NamedTuple):
    """``names`` of variants, None among them for the default; ``more``: and what only a context
    tells."""

    names: frozenset[str | None]
    more: bool = False

    def __or__(self, other: Answers) -> Answers:
        return Answers(self.names | other.names, self.more or other.more)


_OPEN = Answers(frozenset(), more=True)
_NOBODY = Answers(frozenset())


def of_rule(rule: Any) -> Answers:
    """What a rule can come to."""
    if not isinstance(rule, list | dict):
        return Answers(frozenset({None if rule is None else variant_name(rule)}))
    if isinstance(rule, list) or len(rule) != 1:
        return _OPEN
    ((name, args),) = rule.items()
    return _of_operation(name, args if isinstance(args, list) else [args])


def _of_operation(name: str, words: Sequence[Any]) -> Answers:
    if name in ("if", "?:"):
        return _of_if(words)
    if name == "fractional":
        return of_split(words)
    if name in _TRUTHS:
        return Answers(frozenset({"true", "false"}))
    return Answers(frozenset({"true", "false", None})) if name in _PERHAPS else _OPEN


def _of_if(words: Sequence[Any]) -> Answers:
    ends = [*words[1::2], words[-1] if len(words) % 2 else None]
    found = _NOBODY
    for one in ends:
        found |= of_rule(one)
    return found


def of_split(words: Sequence[Any]) -> Answers:
    """What a ``fractional`` gives to units."""
    parts = words if words and isinstance(words[0], list) else words[1:]
    found = _NOBODY
    for part in parts:
        if not isinstance(part, list) or not part:
            return _OPEN
        weight = part[1] if len(part) > 1 else 1
        if isinstance(weight, bool) or not isinstance(weight, int):
            found |= of_rule(part[0])._replace(more=True)
        elif weight > 0:
            found |= of_rule(part[0])
    return found if found.names or found.more else Answers(frozenset({None}))


def only(flag: Flag) -> str | None:
    """The variant that everybody gets of a flag that is on; None when it is not always one."""
    if not flag.enabled:
        return None
    found = Answers(frozenset({None})) if flag.targeting is None else of_rule(flag.targeting)
    names = {flag.default if name is None else name for name in found.names}
    return names.pop() if len(names) == 1 and not found.more else None
