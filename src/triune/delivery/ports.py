"""What delivery needs from others; ``app`` plugs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from triune.core.process import ProcessSpec
from triune.ledger.envelope import Edge, Event
from triune.ledger.ports import Position, Query, Stored

if TYPE_CHECKING:
    from collections.abc import Iterator

    from triune.delivery.release import Release
    from triune.delivery.smoke import SmokeTest
    from triune.delivery.state import Arm


class Log(Protocol):
    """The part of the ledger's service that delivery uses."""

    def append(self, event: Event) -> None:
        """Accept an event: it survives kill -9 of any process. Never waits for the store."""
        ...

    def record(
        self,
        events: Sequence[Event],
        *,
        position: Position | None = None,
        all_new: bool = False,
    ) -> int:
        """Store events and a reader's position in one transaction, durably; returns how many are
        new. With ``all_new`` it raises `Conflict` and stores nothing when an id is there already.
        """
        ...

    def get(self, identifier: str) -> Event | None:
        """The event with this id."""
        ...

    def position(self, reader: str) -> str | None:
        """The position stored last for a reader."""
        ...

    def select(self, query: Query) -> Iterator[Stored]:
        """Events that match."""
        ...

    def about(self, refs: Sequence[str], kinds: Sequence[str]) -> list[Stored]:
        """Events of these kinds whose subject is one of these references, in the log's order."""
        ...

    def ancestors(self, ref: str, *, limit: int = ...) -> list[Edge]:
        """All edges on the way from ``ref`` to its roots."""
        ...


class Running(Protocol):
    """What a process manager says of one process."""

    @property
    def name(self) -> str: ...

    @property
    def pid(self) -> int | None: ...


class Processes(Protocol):
    """Long-running processes that outlive the command that asked for them."""

    def ensure(self, spec: ProcessSpec) -> None:
        """Run this process, replacing one of the same name; ready when it returns.

        Raises `Unavailable`, with the last words of its log, when it does not become ready.
        """
        ...

    def remove(self, name: str) -> None:
        """Stop a process gracefully and forget it; nothing happens when there is none."""
        ...

    def status(self) -> Sequence[Running]:
        """Every process that is managed; ``pid`` is None for one that does not run."""
        ...


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A registered model version: ``model:<name>@<n>``, its digest and its folder."""

    ref: str
    digest: str
    folder: Path


class Models(Protocol):
    """The registry, as far as releases need it."""

    def resolve(self, name: str) -> ModelVersion:
        """The version for ``name@2``, ``name@alias`` or a whole reference; `NotFound`."""
        ...

    def verify(self, version: ModelVersion) -> None:
        """Refuse (`Refused`) a version that is unsigned or whose bytes have changed."""
        ...


class Arms(Protocol):
    """Turns a release in a place into the process that serves it."""

    def process(self, release: Release, arm: Arm) -> ProcessSpec:
        """Write what the model server needs and say how to run it. Idempotent."""
        ...

    def forget(self, arm: Arm) -> None:
        """Clear away what was written for an arm whose process has stopped. Idempotent."""
        ...


@dataclass(frozen=True, slots=True)
class Pinned:
    """The versions of feature views that are applied now.

    ``refs``: their references; ``layouts``: how each is packed; ``features``: each feature by its
    own name, as ``view:feature``; ``types``: Feast's value type of each feature; ``keys``: that of
    each join key.
    """

    refs: tuple[str, ...]
    layouts: tuple[Mapping[str, Any], ...]
    features: Mapping[str, str]
    types: Mapping[str, str]
    keys: Mapping[str, str]


class Views(Protocol):
    """The feature store, as far as releases need it."""

    def __call__(self, features: Sequence[str]) -> Pinned:
        """What ``view`` or ``view:feature`` means now; `NotFound`."""
        ...


Missing = Callable[[str], Sequence[str]]
"""What is missing in the ancestry of a reference; empty when it is complete."""

PortOf = Callable[[str], int]
"""The port allotted to a process name, the same one each time."""

OwnTests = Callable[["Release"], Sequence["SmokeTest"]]
"""The workspace's own smoke tests for a release's endpoint."""

Examples = Callable[["Release"], Mapping[str, Sequence[Any]]]
"""Example inputs of a release's model: column name to values, one value for each row."""
