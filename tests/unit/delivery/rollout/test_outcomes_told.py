"""What became of the cohorts of outcomes is told: in events, in the view, in words."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.support.evidence import NO_GATES, definition
from triune.cli import rollout_view as words
from triune.delivery.rollout import events
from triune.delivery.rollout.cohorts import Drop, Shelf
from triune.delivery.rollout.coverage import Cohort
from triune.delivery.rollout.explain import cohorts, explain
from triune.delivery.rollout.model import Action, Look, Record
from triune.delivery.rollout.quality import QualityState
from triune.delivery.rollout.verdict import Verdict
from triune.delivery.rollout.view import view
from triune.delivery.state import EndpointState

STATE = QualityState(
    started_us=0,
    after=10,
    shelf=Shelf((Cohort(0, 10), Cohort(10, 20))),
    judged=12,
    dropped={Drop.CROWDED: 1, Drop.COVERAGE: 3},
    late=4,
    unusable=1,
)
FACTS = {
    "judged": 12,
    "waiting": 2,
    "dropped": {"coverage-differs": 3, "too-many-waiting": 1},
    "late": 4,
    "unusable": 1,
}
NOTHING: dict[str, Any] = {"judged": 0, "waiting": 0, "dropped": {}, "late": 0, "unusable": 0}
LOOK = Look(1.0, 1, Verdict.NOT_YET, Action.HOLD, "", 0.0)


def record(quality: QualityState | None, metric: str = "wrong") -> Record:
    return Record(
        rollout="r1",
        endpoint="e",
        release="release:e@bbbbbbbbbbbb",
        stable=None,
        actor="user:ada",
        started=0.0,
        definition=definition(metrics=[{"name": metric}]),
        quality=quality,
        mark="0192f3a0-0000-7000-8000-000000000000",
    )


def test_a_looks_event_and_the_view_tell_the_cohorts() -> None:
    told = events.looked("w", record(STATE), LOOK).payload["quality"]
    assert told == msgspec.json.decode(msgspec.json.encode(told)) == FACTS
    assert view(record(STATE), EndpointState("e"), NO_GATES).quality == FACTS


@pytest.mark.parametrize("given", [record(None), record(STATE, "errors")])
def test_without_the_metric_or_before_its_first_look_there_is_nothing_to_tell(
    given: Record,
) -> None:
    assert "quality" not in events.looked("w", given, LOOK).payload
    seen = view(given, EndpointState("e"), NO_GATES)
    assert seen.quality is None
    assert not any("cohort" in line for line in explain(seen, users=0))
    assert "outcomes" not in dict(words.facts(seen, 0.0))


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, "0 cohorts judged"),
        ({"judged": 1, "waiting": 1}, "1 cohort judged, 1 waits"),
        (
            {"judged": 12, "dropped": {"coverage-differs": 3}},
            "12 cohorts judged, 3 left out: one arm's outcomes were known more often than the "
            "other's",
        ),
        (
            FACTS,
            "12 cohorts judged, 2 wait, 3 left out: one arm's outcomes were known more often than "
            "the other's; 1 left out: more cohorts waited for outcomes than are kept; 4 "
            "predictions or outcomes came too late to count; 1 outcome had no number to compare",
        ),
    ],
)
def test_the_cohorts_in_a_line(changes: dict[str, Any], line: str) -> None:
    assert cohorts(NOTHING | changes) == line


def test_status_and_explain_say_it() -> None:
    seen = view(record(STATE), EndpointState("e"), NO_GATES)
    line = cohorts(FACTS)
    assert f"Outcomes: {line}." in explain(seen, users=0)
    assert dict(words.facts(seen, 0.0))["outcomes"] == line
    assert words.as_dict(seen)["quality"] == FACTS
