"""What streams need from a broker; `triune.data.backends.kafka` is one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a topic. ``time_ms`` is when the broker got it, or was told it happened."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, bytes] = field(default_factory=dict)
    time_ms: int = 0


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message to be sent; ``partition`` is chosen by the key unless given."""

    value: bytes
    key: bytes | None = None
    headers: Mapping[str, bytes] = field(default_factory=dict)
    partition: int | None = None


class Reader(Protocol):
    """Reads partitions of one topic, each from an offset on."""

    def poll(self, seconds: float) -> list[Message]:
        """Messages that are there, in the order of their offsets; waits so long for the first.

        Raises `Unavailable` (``broker-unreachable``).
        """
        ...

    def committed(self, offsets: Mapping[int, int]) -> None:
        """Tell the broker how far the topic was applied: for its own tools only."""
        ...

    def close(self) -> None:
        """Give back the connection."""
        ...


class Broker(Protocol):
    """A broker. All of it raises `Unavailable` (``broker-unreachable``)."""

    def ensure(self, topic: str, partitions: int) -> int:
        """Make a topic where it is missing; returns how many partitions it has."""
        ...

    def ends(self, topic: str) -> dict[int, tuple[int, int]]:
        """First offset and the one behind the last, of each partition; empty without a topic."""
        ...

    def send(self, topic: str, messages: Sequence[Outgoing]) -> dict[int, int]:
        """Send messages in order; returns when the broker has acknowledged every one, with the
        offset behind the last of them in each partition."""
        ...

    def read(self, topic: str, offsets: Mapping[int, int]) -> Reader:
        """A reader of these partitions, each from its offset on."""
        ...

    def close(self) -> None:
        """Give back connections."""
        ...
