"""``$ref``: evaluators that several rules share, written out where they are named. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from triune.core.mistakes import closest

REF = "$ref"
DEEPEST = 100
"""Levels of a rule inside of each other, its evaluators written out."""
LARGEST = 10_000
"""Operations and values of a rule, its evaluators written out."""


class Unresolved(Exception):
    """A reference leads nowhere, or without end."""

    def __init__(self, what: str, mend: str) -> None:
        super().__init__(what)
        self.what, self.mend = what, mend


class References:
    """Writes out the evaluators that one rule names."""

    def __init__(self, evaluators: Mapping[str, Any]) -> None:
        self._evaluators = evaluators
        self._size = 0

    def written_out(self, logic: Any, seen: tuple[str, ...] = (), depth: int = 0) -> Any:
        """The rule with evaluators in the place of their names. Raises `Unresolved`."""
        self._size += 1
        if depth > DEEPEST or self._size > LARGEST:
            what = f"is deeper than {DEEPEST} levels"
            if self._size > LARGEST:
                what = f"comes to more than {LARGEST} operations and values"
            raise Unresolved(what, "Make several flags of it, or a simpler rule.")
        if isinstance(logic, list):
            return [self.written_out(one, seen, depth + 1) for one in logic]
        if not isinstance(logic, dict):
            return logic
        if logic.keys() == {REF}:
            return self._evaluator(logic[REF], seen, depth)
        return {name: self.written_out(one, seen, depth + 1) for name, one in logic.items()}

    def _evaluator(self, name: Any, seen: tuple[str, ...], depth: int) -> Any:
        if not isinstance(name, str):
            raise Unresolved(f"{REF} names {name!r}", "Write an evaluator's name, in quotes.")
        if name in seen:
            circle = " -> ".join((*seen[seen.index(name) :], name))
            raise Unresolved(f"{REF} goes in a circle: {circle}", "Take one of them out.")
        if name not in self._evaluators:
            known = list(self._evaluators)
            mend = closest(name, known) if known else "There are none."
            raise Unresolved(f"there is no evaluator {name!r}", mend)
        return self.written_out(self._evaluators[name], (*seen, name), depth + 1)
