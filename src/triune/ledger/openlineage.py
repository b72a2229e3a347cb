"""Events as OpenLineage run events, for any tool that speaks OpenLineage. Pure: no I/O.

Spec: OpenLineage 2-0-2, ``RunEvent``. A run keeps its own id as OpenLineage's run id; every
other event that makes an artifact is a job run of its own, whose id is the event's. What
OpenLineage has no word for goes into facets named ``triune_*``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from triune.core.ids import key_of, kind_of
from triune.ledger.envelope import Edge, Event

PRODUCER = "urn:triune:ledger"
SCHEMA = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
_BASE = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs"
_FACETS = "https://openlineage.io/spec/facets"
_JOBS = {
    "dataset.versioned": "dataset",
    "features.defined": "features",
    "model.registered": "register",
    "release.created": "release",
    "prediction.served": "serve",
}
_AS_DATASETS = {"dataset", "features", "model", "release"}


def run_events(
    events: Iterable[Event], parents: Mapping[str, Sequence[Edge]] | None = None
) -> Iterator[dict[str, Any]]:
    """The OpenLineage run event of every event that has one, in the same order.

    ``parents`` are further edges by child, e.g. for the end of a run, whose edges its start has.
    """
    known = parents or {}
    for event in events:
        if event.kind in {"run.started", "run.finished"} or event.kind in _JOBS:
            yield run_event(event, known.get(event.subject, ()))


def run_event(event: Event, parents: Sequence[Edge] = ()) -> dict[str, Any]:
    """One event as the JSON object of an OpenLineage ``RunEvent``."""
    edges = sorted(
        {*parents, *(e for e in event.edges if e.child == event.subject)}, key=_by_parent
    )
    return {
        "eventType": _event_type(event),
        "eventTime": event.at.isoformat().replace("+00:00", "Z"),
        "run": {"runId": _run_id(event), "facets": _run_facets(event, edges)},
        "job": {
            "namespace": _namespace(event),
            "name": _job_name(event),
            "facets": _job_facets(event, edges),
        },
        "inputs": [_dataset(event, ref) for ref in _inputs(edges)],
        "outputs": [_dataset(event, ref) for ref in _outputs(event)],
        "producer": PRODUCER,
        "schemaURL": SCHEMA,
    }


def _event_type(event: Event) -> str:
    if event.kind == "run.started":
        return "START"
    if event.kind == "run.finished" and event.payload.get("status") != "finished":
        return "ABORT" if event.payload.get("status") == "killed" else "FAIL"
    return "COMPLETE"


def _run_id(event: Event) -> str:
    return key_of(event.subject) if kind_of(event.subject) == "run" else event.id


def _namespace(event: Event) -> str:
    return f"triune://{event.workspace}"


def _job_name(event: Event) -> str:
    if kind_of(event.subject) == "run":
        return f"training.{event.payload.get('name') or 'run'}"
    if event.kind == "prediction.served":
        return f"serve.{event.payload.get('endpoint', 'endpoint')}"
    return f"{_JOBS[event.kind]}.{_split(event.subject)[0]}"


def _by_parent(edge: Edge) -> tuple[str, str]:
    return edge.parent, edge.role


def _inputs(edges: Sequence[Edge]) -> list[str]:
    return list(dict.fromkeys(e.parent for e in edges if kind_of(e.parent) in _AS_DATASETS))


def _outputs(event: Event) -> list[str]:
    return [event.subject] if kind_of(event.subject) in _AS_DATASETS else []


def _split(ref: str) -> tuple[str, str]:
    name, _, version = key_of(ref).rpartition("@")
    return (name, version) if name else (version, "")


def _dataset(event: Event, ref: str) -> dict[str, Any]:
    name, version = _split(ref)
    facets = {}
    if version:
        facets["version"] = _facet(
            f"{_FACETS}/1-0-1/DatasetVersionDatasetFacet.json", datasetVersion=version
        )
    return {"namespace": _namespace(event), "name": f"{kind_of(ref)}.{name}", "facets": facets}


def _run_facets(event: Event, edges: Sequence[Edge]) -> dict[str, Any]:
    facets = {
        "triune_event": _facet(
            f"{_BASE}/RunFacet",
            id=event.id,
            kind=event.kind,
            subject=event.subject,
            actor=event.actor,
            payload=dict(event.payload),
            parents=[{"role": edge.role, "reference": edge.parent} for edge in edges],
        )
    }
    error = event.payload.get("error")
    if error and _event_type(event) == "FAIL":
        facets["errorMessage"] = _facet(
            f"{_FACETS}/1-0-1/ErrorMessageRunFacet.json",
            message=str(error),
            programmingLanguage="python",
        )
    return facets


def _job_facets(event: Event, edges: Sequence[Edge]) -> dict[str, Any]:
    facets = {
        "jobType": _facet(
            f"{_FACETS}/2-0-3/JobTypeJobFacet.json",
            processingType="BATCH",
            integration="TRIUNE",
            jobType="JOB",
        )
    }
    commits = [edge.parent for edge in edges if kind_of(edge.parent) == "commit"]
    if commits:
        facets["sourceCodeLocation"] = _facet(
            f"{_FACETS}/1-0-1/SourceCodeLocationJobFacet.json",
            type="git",
            url=f"triune://{event.workspace}/source",
            version=key_of(commits[0]),
        )
    return facets


def _facet(schema: str, **fields: Any) -> dict[str, Any]:
    return {"_producer": PRODUCER, "_schemaURL": schema, **fields}
