"""What runs write to the ledger. Each event is made from the journal alone, with the id the
journal reserved for it: telling the ledger twice stores it once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from triune.ledger.envelope import Edge, Event, event
from triune.models.tracking.model import RunRecord


def started(record: RunRecord, workspace: str) -> Event:
    """``run.started``, with the lineage from the run to what it is made from."""
    return event(
        "run.started",
        record.ref,
        workspace=workspace,
        actor=record.actor,
        at=_moment(record.started),
        identifier=record.started_event,
        payload={
            "name": record.name,
            "host": record.host,
            "pid": record.pid,
            "details": dict(record.details),
        },
        edges=tuple(Edge(record.ref, parent, role) for parent, role in record.inputs),
    )


def finished(record: RunRecord, workspace: str) -> Event:
    """``run.finished``, with status, parameters, last metrics and duration in seconds."""
    if record.ended is None:
        raise ValueError(f"{record.ref} has not ended")
    return event(
        "run.finished",
        record.ref,
        workspace=workspace,
        actor=record.actor,
        at=_moment(record.ended),
        identifier=record.finished_event,
        causes=(record.started_event,),
        payload={
            "name": record.name,
            "status": record.status.value,
            "error": record.error,
            "params": dict(record.params),
            "tags": dict(record.tags),
            "metrics": _plain(record.metrics),
            "artifacts": dict(record.artifacts),
            "seconds": record.seconds,
        },
    )


def _plain(metrics: Mapping[str, float]) -> dict[str, Any]:
    """Metrics as JSON can hold them: it has no word for not-a-number and the infinities."""
    return {k: v if abs(v) < float("inf") else str(v) for k, v in metrics.items()}


def _moment(microseconds: int) -> datetime:
    return datetime.fromtimestamp(microseconds / 1e6, UTC)
