"""What a place for online rows offers; `valkey`, `cluster` and `sqlite` are such places."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from triune.core.errors import Conflict

Request = tuple[bytes, tuple[bytes, ...]]


@dataclass(frozen=True, slots=True)
class Stored:
    """One packed row: whose (``key``), of which view version (``field``), and its bytes."""

    key: bytes
    field: bytes
    row: bytes


def moved(stream: str) -> Conflict:
    """The error for marks that are not as expected."""
    return Conflict(
        "stream-marks-moved",
        f"stream {stream!r} stands elsewhere than where it was left",
        hint="Another consumer applies it, or the online store lost its last writes: read the "
        "marks again and go on from there.",
    )


class Place(Protocol):
    """Where rows lie. Every write keeps the row with the newest event time, then created time;
    an equal one is replaced, so that writing again changes nothing.

    All of it raises `Unavailable` (``online-store-unreachable``) when the place does not answer;
    a write may then have happened or not, and may be repeated. Safe to use from several threads.
    """

    def fetch(self, requests: Sequence[Request]) -> list[list[bytes | None]]:
        """The fields of each key, in one round trip; None where there is nothing."""
        ...

    def put(self, rows: Iterable[Stored]) -> int:
        """Write rows; returns how many were newer than what was there, or new."""
        ...

    def apply(
        self,
        project: str,
        stream: str,
        marks: Mapping[str, int],
        rows: Sequence[Stored],
        *,
        expect: Mapping[str, int | None],
    ) -> int:
        """Write rows and a stream's marks (how far it was applied), both or neither.

        Nothing is written when a mark is not as expected (None: absent): somebody else has
        applied the stream meanwhile, or the place has lost its last writes.

        On a cluster of several nodes: the rows first, then the marks.

        Raises
        ------
        Conflict: (``stream-marks-moved``).
        """
        ...

    def marks(self, project: str, stream: str) -> dict[str, int]:
        """A stream's marks, by name."""
        ...

    def forget(self, project: str, stream: str) -> None:
        """Drop a stream's marks, as before a replay."""
        ...

    def drop(self, project: str, field: bytes) -> int:
        """Remove every row of a view version; returns how many there were."""
        ...

    def close(self) -> None:
        """Give back connections."""
        ...
