"""What a test's sums need: a log to read, a file to keep them in, values from before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from triune.delivery.abtest.facts import Told
from triune.delivery.abtest.model import Declaration
from triune.delivery.abtest.units import Unit
from triune.ledger.envelope import Event
from triune.ledger.ports import Query, Stored


class Log(Protocol):
    """The part of the ledger that tests use."""

    def record(self, events: Sequence[Event], *, all_new: bool = False) -> int:
        """Store events in one transaction, durably; `Conflict` when an id is not new."""
        ...

    def get(self, identifier: str) -> Event | None:
        """The event with this id."""
        ...

    def select(self, query: Query | None = None) -> Iterator[Stored]:
        """Events that match, in the order of the log."""
        ...

    def last_sequence(self) -> int:
        """The sequence of the newest event; 0 when there is none."""
        ...


Before = Callable[[Mapping[str, int], Sequence[str]], Mapping[str, tuple[float, ...]]]
"""Values from before the exposure: from units with the time of their first exposure (microseconds)
and the names of features to the features' values of each unit; 0 for one that is not known."""


class Sums(Protocol):
    """A test's running sums on disk; `backends.sqlite` is the real one.

    What is changed inside of `changing` is there as a whole or not at all, whatever is killed.
    """

    def clear(self) -> None: ...

    def changing(self) -> AbstractContextManager[None]: ...

    def facts(self, *names: str) -> tuple[Any, ...]: ...

    def keep(self, facts: Mapping[str, Any]) -> None: ...

    def units(self, names: Iterable[str]) -> dict[str, Unit]: ...

    def keep_units(self, units: Mapping[str, Unit]) -> None: ...

    def owners(self, keys: Iterable[str]) -> dict[str, str]: ...

    def keep_outcomes(self, facts: Iterable[Told]) -> None: ...

    def outcomes(self, unit: str) -> list[Told]: ...

    def put_off(self, facts: Sequence[tuple[int, int, bytes]]) -> None: ...

    def due(self, now: int) -> list[tuple[int, bytes]]: ...

    def put_off_until(self) -> tuple[int, int | None]: ...


@dataclass(frozen=True, slots=True)
class Serving:
    """Whether a candidate gets its units, in words; ``over``: it never will again."""

    now: bool
    words: str
    over: bool


class Endpoints(Protocol):
    """Releases as arms of a test; `endpoints.Endpoints` is the real one."""

    def arms(self, declaration: Declaration) -> Mapping[str, str]:
        """The release of each variant."""
        ...

    def begin(self, declaration: Declaration, release: str, rollout: str, actor: str) -> None:
        """Bring the candidate to its units. May be called again."""
        ...

    def had(self, declaration: Declaration, release: str, rollout: str) -> tuple[int, int | None]:
        """From when (0: not yet) until when (None: it has) the candidate had all of its units;
        microseconds since 1970."""
        ...

    def serving(self, declaration: Declaration, rollout: str) -> Serving:
        """Whether the candidate gets its units."""
        ...

    def promote(self, declaration: Declaration, rollout: str, reason: str, actor: str) -> None:
        """The candidate gets all traffic. May be called again."""
        ...

    def leave(self, declaration: Declaration, rollout: str, reason: str, actor: str) -> None:
        """All traffic returns to control. May be called again."""
        ...
