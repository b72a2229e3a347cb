"""What runs write to the ledger. Each event is made from the journal alone, with the id the
journal reserved for it: telling the ledger twice stores it once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from msgspec import structs

from triune.ledger.envelope import Edge, Event, event
from triune.models.tracking.frames import Reads
from triune.models.tracking.model import RunRecord

WATCHED = "watched"
"""The detail of a run whose reads are watched."""


def started(record: RunRecord, workspace: str) -> Event:
    """``run.started``, with the lineage from the run to what it is made from."""
    seen = record.reads.inputs if record.reads else ()
    declared = [one for one in record.inputs if one not in seen]
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
        edges=tuple(Edge(record.ref, parent, role) for parent, role in declared),
    )


def finished(record: RunRecord, workspace: str) -> Event:
    """``run.finished``, with status, parameters, last metrics, duration in seconds, and, of a run
    that was to be watched, what it was seen to read; with the whole lineage from the run."""
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
            **_reads(record),
        },
        edges=tuple(Edge(record.ref, parent, role) for parent, role in record.inputs),
    )


def _reads(record: RunRecord) -> dict[str, Any]:
    """What a watched run was seen to read; None when it ended without being told."""
    if WATCHED not in record.details:
        return {}
    return {"reads": None if record.reads is None else told(record.reads)}


def told(reads: Reads) -> dict[str, Any]:
    """What was seen, as the ledger judges it."""
    return {
        "capture": reads.capture,
        "unversioned": [structs.asdict(one) for one in reads.unversioned],
        "more": reads.more,
        "connections": list(reads.connections),
        "outside": list(reads.outside),
        "counts": dict(reads.counts),
        "lost": reads.lost,
        "failed": reads.failed,
    }


def _plain(metrics: Mapping[str, float]) -> dict[str, Any]:
    """Metrics as JSON can hold them: it has no word for not-a-number and the infinities."""
    return {k: v if abs(v) < float("inf") else str(v) for k, v in metrics.items()}


def _moment(microseconds: int) -> datetime:
    return datetime.fromtimestamp(microseconds / 1e6, UTC)
