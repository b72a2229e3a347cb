"""What a place for online rows offers; `valkey`, `cluster` and `sqlite` are such places."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

Request = tuple[bytes, tuple[bytes, ...]]


@dataclass(frozen=True, slots=True)
class Stored:
    """One packed row: whose (``key``), of which view version (``field``), and its bytes."""

    key: bytes
    field: bytes
    row: bytes


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
        self, project: str, stream: str, offsets: Mapping[int, int], rows: Sequence[Stored]
    ) -> int:
        """Write rows and how far a stream's partitions were applied, both or neither.

        On a cluster of several nodes: the rows first, then the offsets.
        """
        ...

    def applied(self, project: str, stream: str) -> dict[int, int]:
        """By partition, the offset behind the last message that was applied."""
        ...

    def forget(self, project: str, stream: str) -> None:
        """Drop how far a stream was applied, as before a replay."""
        ...

    def drop(self, project: str, field: bytes) -> int:
        """Remove every row of a view version; returns how many there were."""
        ...

    def close(self) -> None:
        """Give back connections."""
        ...
