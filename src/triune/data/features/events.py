"""What the feature store tells the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from triune.core.ids import new_id, reference
from triune.data.features.views import View
from triune.ledger.envelope import Edge, Event, event

APPLIED = "feature_view.applied"
MATERIALIZED = "features.materialized"
CLEARED = "features.cleared"


@dataclass(frozen=True, slots=True)
class Materialized:
    """One view brought online: rows read up to ``end``, and how many changed something."""

    ref: str
    view: str
    version: str
    start: datetime | None
    end: datetime
    entities: int
    written: int
    dataset: str | None


def applied(
    view: View, commit: str, dataset: str | None, changes: Sequence[str], *, workspace: str
) -> Event:
    """A version of a view was applied."""
    edges = [Edge(view.ref, commit, "commit")]
    if dataset is not None:
        edges.append(Edge(view.ref, dataset, "dataset"))
    return event(
        APPLIED,
        view.ref,
        workspace=workspace,
        payload={**view.to_json(), "changes": list(changes)},
        edges=tuple(edges),
    )


def materialized(
    view: View,
    *,
    start: datetime | None,
    end: datetime,
    entities: int,
    written: int,
    dataset: str | None,
    workspace: str,
) -> tuple[Event, Materialized]:
    """A view's values were brought online."""
    ref = reference("materialisation", new_id())
    edges = [Edge(ref, view.ref, "features")]
    if dataset is not None:
        edges.append(Edge(ref, dataset, "dataset"))
    made = event(
        MATERIALIZED,
        ref,
        workspace=workspace,
        payload={
            "view": view.name,
            "version": view.version,
            "start": start.isoformat() if start else None,
            "end": end.isoformat(),
            "entities": entities,
            "written": written,
        },
        edges=tuple(edges),
    )
    told = Materialized(ref, view.name, view.version, start, end, entities, written, dataset)
    return made, told


def cleared(view: View, *, workspace: str) -> Event:
    """A version's rows are about to be removed: what was brought online before counts no more."""
    payload = {"view": view.name, "version": view.version}
    return event(CLEARED, view.ref, workspace=workspace, payload=payload)
