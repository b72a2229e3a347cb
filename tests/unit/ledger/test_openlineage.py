"""Events as OpenLineage: checked against the rules of its schema, 2-0-2."""

from __future__ import annotations

import json
import uuid
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from tests.support.events import made, whole_story
from triune.core.ids import new_id
from triune.ledger.envelope import Edge
from triune.ledger.openlineage import run_event, run_events

EVENT_TYPES = {"START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER"}


def check_uri(value: Any) -> None:
    assert isinstance(value, str)
    assert urlsplit(value).scheme


def check_facets(facets: dict[str, Any]) -> None:
    for name, facet in facets.items():
        assert name
        check_uri(facet["_producer"])
        check_uri(facet["_schemaURL"])
        assert "$defs" in facet["_schemaURL"] or facet["_schemaURL"].endswith(".json")


def check_dataset(dataset: dict[str, Any]) -> None:
    assert isinstance(dataset["namespace"], str)
    assert isinstance(dataset["name"], str)
    check_facets(dataset["facets"])
    version = dataset["facets"].get("version")
    assert version is None or isinstance(version["datasetVersion"], str)


def check_run_event(event: dict[str, Any]) -> None:
    """What `RunEvent` of OpenLineage.json requires, and the facets' own schemas."""
    assert event["eventType"] in EVENT_TYPES
    assert datetime.fromisoformat(event["eventTime"].replace("Z", "+00:00")).tzinfo is not None
    check_uri(event["producer"])
    check_uri(event["schemaURL"])
    uuid.UUID(event["run"]["runId"])
    check_facets(event["run"]["facets"])
    assert isinstance(event["job"]["namespace"], str)
    assert isinstance(event["job"]["name"], str)
    check_facets(event["job"]["facets"])
    source = event["job"]["facets"].get("sourceCodeLocation")
    if source is not None:
        assert isinstance(source["type"], str)
        check_uri(source["url"])
    error = event["run"]["facets"].get("errorMessage")
    if error is not None:
        assert isinstance(error["message"], str)
        assert isinstance(error["programmingLanguage"], str)
    for dataset in [*event["inputs"], *event["outputs"]]:
        check_dataset(dataset)


def names(datasets: list[dict[str, Any]]) -> list[str]:
    return [dataset["name"] for dataset in datasets]


def test_every_event_that_makes_something_is_a_valid_run_event() -> None:
    story = whole_story()
    found = list(run_events([*story, made("service.started", "service:envoy")]))
    for event in found:
        check_run_event(json.loads(json.dumps(event)))
    kinds = [event["run"]["facets"]["triune_event"]["kind"] for event in found]
    assert kinds == [
        e.kind for e in story if e.kind not in {"commit.recorded", "environment.recorded"}
    ]


def test_a_run_starts_and_completes_under_its_own_id() -> None:
    story = whole_story()
    start, end = (event for event in story if event.kind.startswith("run."))
    edges = {start.subject: list(start.edges)}
    started, finished = run_events([start, end], edges)
    assert [started["eventType"], finished["eventType"]] == ["START", "COMPLETE"]
    assert started["run"]["runId"] == finished["run"]["runId"] == start.subject.partition(":")[2]
    assert names(started["inputs"]) == ["dataset.flights", "features.weather"]
    assert finished["inputs"] == started["inputs"]
    assert finished["job"] == started["job"]
    version = started["inputs"][0]["facets"]["version"]["datasetVersion"]
    assert version == "aaaaaaaaaaaa"
    assert started["job"]["facets"]["sourceCodeLocation"]["version"] == "c0ffee"


def test_what_was_made_is_an_output() -> None:
    by_kind = {
        event.kind: run_event(event)
        for event in whole_story()
        if event.kind not in {"commit.recorded", "environment.recorded"}
    }
    assert names(by_kind["dataset.versioned"]["outputs"]) == ["dataset.flights"]
    assert names(by_kind["features.defined"]["inputs"]) == ["dataset.flights"]
    assert names(by_kind["model.registered"]["outputs"]) == ["model.delay"]
    assert names(by_kind["release.created"]["inputs"]) == ["features.weather", "model.delay"]
    assert names(by_kind["prediction.served"]["inputs"]) == ["release.flights-delay"]
    assert by_kind["prediction.served"]["job"]["name"] == "serve.flights/delay"


def test_a_failed_run_says_why_and_a_killed_one_is_aborted() -> None:
    run = f"run:{new_id()}"
    failed = run_event(made("run.finished", run, payload={"status": "failed", "error": "no data"}))
    check_run_event(failed)
    assert failed["eventType"] == "FAIL"
    assert failed["run"]["facets"]["errorMessage"]["message"] == "no data"
    assert (
        run_event(made("run.finished", run, payload={"status": "killed"}))["eventType"] == "ABORT"
    )


def test_edges_of_other_nodes_in_an_event_are_not_its_inputs() -> None:
    edges = [Edge("features:x@1", "dataset:d@1", "dataset")]
    event = made("run.started", "run:0192aaaa-0000-7000-8000-000000000001")
    told = run_event(
        event.__class__(
            **{f: getattr(event, f) for f in event.__struct_fields__} | {"edges": tuple(edges)}
        )
    )
    assert told["inputs"] == []
