"""What an event is: an envelope around a versioned payload, and the edges it implies.

The envelope never changes; payloads carry a version and are only ever added to.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from triune.core.ids import new_id


class Edge(msgspec.Struct, frozen=True, array_like=True):
    """``child`` was made from ``parent``; both are references ``kind:key``.

    ``role`` says in which part, e.g. ``"dataset"``, ``"environment"``, ``"model"``.
    """

    child: str
    parent: str
    role: str


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened.

    Attributes
    ----------
    id: UUIDv7; appending the same id twice stores it once
    time: when it happened, microseconds since 1970 UTC
    kind: ``noun.verb-in-the-past``, registered in `triune.ledger.kinds`
    subject: the reference it is about
    actor: who or what caused it: ``user:<name>`` or ``service:<name>``
    workspace: the workspace's name
    version: version of the payload's shape
    payload: what there is to say, JSON values only
    causes: ids of the events it follows from
    edges: lineage this event establishes, written in the same transaction
    """

    id: str
    time: int
    kind: str
    subject: str
    actor: str
    workspace: str
    version: int = 1
    payload: Mapping[str, Any] = {}
    causes: tuple[str, ...] = ()
    edges: tuple[Edge, ...] = ()

    @property
    def at(self) -> datetime:
        """The event's time as a UTC datetime."""
        return datetime.fromtimestamp(self.time / 1_000_000, UTC)


def microseconds(moment: datetime) -> int:
    """A UTC datetime as the integer the envelope keeps."""
    return round(moment.timestamp() * 1_000_000)


def person() -> str:
    """The actor a command acts for: the login name of whoever runs it."""
    try:
        return f"user:{getpass.getuser()}"
    except (KeyError, OSError):
        return f"user:{os.getuid()}"


def event(
    kind: str,
    subject: str,
    *,
    workspace: str,
    actor: str | None = None,
    payload: Mapping[str, Any] | None = None,
    causes: tuple[str, ...] = (),
    edges: tuple[Edge, ...] = (),
    at: datetime | None = None,
    identifier: str | None = None,
) -> Event:
    """A new event, dated now and with a fresh id unless told otherwise."""
    return Event(
        id=identifier or new_id(),
        time=microseconds(at or datetime.now(UTC)),
        kind=kind,
        subject=subject,
        actor=actor or person(),
        workspace=workspace,
        payload=payload or {},
        causes=causes,
        edges=edges,
    )
