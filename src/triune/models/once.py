"""Facts that are told to the ledger once: a file keeps the fact with the id of its event."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from triune.core.files import locked, read_json, write_json
from triune.core.ids import new_id
from triune.ledger.envelope import Edge, Event, event


def told_once(
    path: Path,
    kind: str,
    subject: str,
    *,
    workspace: str,
    payload: Mapping[str, Any],
    edges: tuple[Edge, ...] = (),
) -> Event:
    """The event that tells of a fact: from the file, or new and then kept there.

    The ledger stores an id once, so the event may be told again and again.
    """
    known = read_json(path)
    if known is None:
        with locked(path.parent / ".lock"):
            known = read_json(path)
            if known is None:
                known = {"event": new_id(), "fact": dict(payload)}
                write_json(path, known)
    return event(
        kind,
        subject,
        workspace=workspace,
        payload=known["fact"],
        edges=edges,
        identifier=known["event"],
    )
