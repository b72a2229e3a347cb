"""Flags that have done their work, or never began: what the store has against what the code has.

Pure, but for `report`, which reads both.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

from triune.core.mistakes import closest
from triune.delivery.flags import answers
from triune.delivery.flags.changes import Change
from triune.delivery.flags.model import Flag
from triune.delivery.flags.service import Flags, FlagSet
from triune.delivery.flags.usage import Use, uses


class Stale(StrEnum):
    """What is stale about a flag."""

    NOT_IN_CODE = "not-in-code"
    NOT_IN_STORE = "not-in-store"
    ONE_ANSWER = "one-answer"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is stale; ``since`` is None for a flag that never was."""

    key: str
    stale: Stale
    since: datetime | None
    words: str
    next: str
    uses: tuple[Use, ...]


def report(flags: Flags, root: Path, *, days: int, at: datetime) -> list[Finding]:
    """What is stale in the workspace at ``root``: flags that no code names; keys that code
    evaluates and there is no flag of; flags that are off, or give everybody one variant, for
    ``days`` or longer. Raises what `uses` raises."""
    now = flags.current()
    found = uses(root, now.flags)
    history = {key: flags.history(key) for key in now.numbers}
    return list(findings(now, history, found, before=at - timedelta(days=days)))


def findings(
    now: FlagSet, history: Mapping[str, Sequence[Change]], found: Sequence[Use], *, before: datetime
) -> Iterator[Finding]:
    """What is stale; ``history`` has each flag's changes, the newest first."""
    places: dict[str, tuple[Use, ...]] = {}
    for use in found:
        places[use.key] = (*places.get(use.key, ()), use)
    for key, flag in sorted(now.flags.items()):
        used = places.get(key, ())
        if not used:
            since, words = history[key][0].at, "no code names it"
            yield Finding(key, Stale.NOT_IN_CODE, since, words, _removal(key, "in no code"), ())
        yield from _settled(flag, history[key], used, before)
    for key, used in sorted(places.items()):
        calls = tuple(use for use in used if use.called)
        if calls and key not in now.flags:
            yield _unknown(key, now, history.get(key, ()), calls)


def _settled(
    flag: Flag, history: Sequence[Change], used: tuple[Use, ...], before: datetime
) -> Iterator[Finding]:
    key, variant = flag.key, answers.only(flag)
    first = used[0].place if used else ""
    if not flag.enabled:
        since = _since(history, lambda one: not one.enabled)
        remove = _removal(key, "off for long")
        then = f"let the code at {first} go without it, then `{remove}`" if used else remove
        if since <= before:
            words = "is off: every caller gets its own default"
            yield Finding(key, Stale.OFF, since, words, then, used)
    elif variant is not None:
        since = _since(history, lambda one: answers.only(one) == variant)
        value = json.dumps(flag.variants.get(variant))
        remove = _removal(key, "everybody has it")
        then = f"write {value} into {first}, then `{remove}`" if used else remove
        if since <= before:
            words = f"gives everybody {variant!r}"
            yield Finding(key, Stale.ONE_ANSWER, since, words, then, used)


def _unknown(key: str, now: FlagSet, history: Sequence[Change], calls: tuple[Use, ...]) -> Finding:
    if history:
        last = history[0]
        words = f"{last.actor} removed it: {last.reason}"
        then = f"take it out of {calls[0].place}, or `triune flags rollback {key} -m ...`"
        return Finding(key, Stale.NOT_IN_STORE, last.at, words, then, calls)
    near = closest(key, now.flags) if now.flags else ""
    then = near if near.startswith("Did you mean") else f"triune flags set {key} -m ..."
    return Finding(key, Stale.NOT_IN_STORE, None, "there is no such flag", then, calls)


def _removal(key: str, reason: str) -> str:
    return f'triune flags remove {key} -m "{reason}"'


def _since(history: Sequence[Change], holds: Callable[[Flag], bool]) -> datetime:
    """Since when it has been so without a break."""
    since = history[0].at
    for change in history:
        if change.after is None or not holds(change.after):
            break
        since = change.at
    return since
