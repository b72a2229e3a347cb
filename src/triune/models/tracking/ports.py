"""What shipping needs from an experiment tracker; `backends.mlflow` is the real one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from triune.models.tracking.model import RunRecord, RunStatus


@dataclass(frozen=True, slots=True)
class Point:
    """One value of a metric; ``time`` in microseconds since 1970 UTC."""

    name: str
    value: float
    time: int
    step: int


class Tracker(Protocol):
    """Keeps runs for people to look at. Every call may be repeated with the same arguments
    and then changes nothing.

    Each raises `Unavailable` (``mlflow-unreachable``), `NotFound` (``mlflow-run-gone``) for a
    run that it had and has no more, and `Refused` (``mlflow-refused``) for what it will not
    take, now or later.
    """

    @property
    def identity(self) -> str:
        """A word for the place where runs are kept; another place has another."""
        ...

    def find(self, identifier: str) -> str | None:
        """The tracker's own id of our run, if it has the run already."""
        ...

    def create(self, record: RunRecord) -> str:
        """Begin our run there, with the tags that say what it is; returns the tracker's id."""
        ...

    def log(
        self,
        tracked: str,
        *,
        points: Sequence[Point] = (),
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Add values, parameters and tags to a run."""
        ...

    def keep(self, tracked: str, name: str, path: Path) -> None:
        """Copy a file or a folder to the run's artifacts under ``name``."""
        ...

    def end(self, tracked: str, status: RunStatus, time: int) -> None:
        """The run ended so, then (microseconds since 1970 UTC)."""
        ...

    def mirror_version(self, name: str, number: int, *, ref: str, tracked: str, card: str) -> None:
        """A model version with this number, made from the run's artifact ``model``."""
        ...

    def mirror_alias(self, name: str, alias: str, number: int) -> None:
        """Point an alias at a mirrored version."""
        ...
