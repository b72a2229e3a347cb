"""Events to fill ledgers with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from triune.core.ids import new_id
from triune.ledger.envelope import Edge, Event

START = 1_767_225_600_000_000


def made(
    kind: str = "run.started",
    subject: str = "run:1",
    *,
    parents: Mapping[str, str] | None = None,
    payload: Mapping[str, Any] | None = None,
    actor: str = "user:ada",
    second: int = 0,
    identifier: str | None = None,
) -> Event:
    """An event ``second`` seconds into 2026 whose subject has these parents (reference: role)."""
    return Event(
        id=identifier or new_id(),
        time=START + second * 1_000_000,
        kind=kind,
        subject=subject,
        actor=actor,
        workspace="test",
        payload=payload or {},
        edges=tuple(Edge(subject, parent, role) for parent, role in (parents or {}).items()),
    )


def served(number: int, release: str = "release:flights-delay@0123456789ab") -> Event:
    """The ``number``-th prediction of a release."""
    identifier = new_id()
    return made(
        "prediction.served",
        f"prediction:{identifier}",
        parents={release: "release"},
        payload={"endpoint": "flights/delay", "unit": f"N{number}", "status": 200},
        identifier=identifier,
    )


def whole_story() -> list[Event]:
    """Everything that one prediction goes back to, with no gap."""
    data, views = "dataset:flights@aaaaaaaaaaaa", "features:weather@bbbbbbbbbbbb"
    commit, environment = "commit:c0ffee", "environment:eeeeeeeeeeee"
    run, model = "run:0192aaaa-0000-7000-8000-000000000001", "model:delay@1"
    release = "release:flights-delay@dddddddddddd"
    inputs = {data: "dataset", views: "features", commit: "commit", environment: "environment"}
    return [
        made("dataset.versioned", data, payload={"name": "flights", "digest": "sha256:aa"}),
        made("commit.recorded", commit, payload={"sha": "c0ffee"}, second=1),
        made("environment.recorded", environment, payload={"packages": 3}, second=2),
        made("features.defined", views, parents={data: "dataset", commit: "commit"}, second=3),
        made("run.started", run, parents=inputs, payload={"name": "delay"}, second=4),
        made(
            "run.finished",
            run,
            payload={"name": "delay", "status": "finished", "metrics": {"auc": 0.7}},
            second=5,
        ),
        made("model.registered", model, parents={run: "run"}, second=6),
        made(
            "release.created",
            release,
            parents={model: "model", commit: "commit", views: "features"},
            second=7,
        ),
        made(
            "prediction.served",
            "prediction:0192aaaa-0000-7000-8000-000000000002",
            parents={release: "release"},
            payload={"endpoint": "flights/delay"},
            identifier="0192aaaa-0000-7000-8000-000000000002",
            second=8,
        ),
    ]
