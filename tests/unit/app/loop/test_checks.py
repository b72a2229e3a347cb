"""What the loop holds itself to: each check can fail, and says why."""

from __future__ import annotations

from typing import Any

import pytest

from triune.app.loop import checks
from triune.app.loop.model import Check, LoopState
from triune.app.replay.model import Record
from triune.ledger.lineage import Coverage

SINCE = 1_000.0


def facts() -> dict[str, dict[str, Any]]:
    return {
        "train": {"first": {"run": "1"}, "better": {"run": "2"}},
        "switch": {"release": "b"},
        "refuse": {"refused": "AUC 0.3", "live": "b"},
        "fail": {"live": "b", "why": {"since": SINCE, "seconds": 0.4}},
        "lineage": {"sent": 3, "served": 3, "good": 3, "gaps": [], "ancestors": ["model:m@1"]},
        "reproduce": {"verdict": "identical", "words": "3 metrics", "shipped": 2},
    }


def record(at: float, status: int = 200) -> Record:
    return Record(number=0, sent=round(at * 1e6), took=900, status=status, unit="u")


GOOD = [record(SINCE - 500), record(SINCE + 0.1, 503), record(SINCE + 500)]


def judged(
    changed: dict[str, dict[str, Any]] | None = None,
    records: list[Record] | None = None,
    coverage: Coverage | None = None,
) -> dict[str, Check]:
    merged = {k: v | (changed or {}).get(k, {}) for k, v in facts().items()}
    state = LoopState(id="l", basis="b", started=0.0, facts=merged)
    made = checks.judge(state, records or GOOD, coverage or Coverage(4, 4, ()))
    return {check.name: check for check in made}


def test_a_good_loop_passes_every_check() -> None:
    assert all(check.ok for check in judged().values())
    assert len(judged()) == 8


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"lineage": {"served": 2}}, "ledger"),
        ({"lineage": {"served": 4}}, "ledger"),
        ({"refuse": {"refused": ""}}, "refused"),
        ({"refuse": {"live": "c"}}, "refused"),
        ({"fail": {"live": "d"}}, "2 s"),
        ({"fail": {"why": {"since": SINCE, "seconds": 2.5}}}, "2 s"),
        ({"lineage": {"gaps": ["run:x: no commit"]}}, "traces back"),
        ({"lineage": {"ancestors": []}}, "traces back"),
        ({"reproduce": {"shipped": 1}}, "MLflow"),
        ({"reproduce": {"verdict": "different", "words": "auc"}}, "identical"),
    ],
)
def test_each_shortfall_fails_its_own_check(changed: dict[str, Any], word: str) -> None:
    failed = [check.name for check in judged(changed).values() if not check.ok]
    assert len(failed) == 1
    assert word in failed[0]


@pytest.mark.parametrize(
    "records", [[record(SINCE - 500, 503)], [record(SINCE + 60, 0)], [record(SINCE - 9, 500)]]
)
def test_a_request_lost_outside_the_failure_of_d_fails(records: list[Record]) -> None:
    check = next(iter(judged({"lineage": {"sent": 4}}, [*GOOD, *records]).values()))
    assert not check.ok
    assert check.detail.startswith("1 of 4")


def test_a_request_without_a_record_counts_as_lost() -> None:
    check = next(iter(judged({"lineage": {"sent": 5}}).values()))
    assert not check.ok
    assert check.detail.startswith("2 of 5")


def test_incomplete_coverage_fails() -> None:
    assert not judged(coverage=Coverage(4, 3, ()))["Lineage coverage is 100 %"].ok
    assert not judged(coverage=Coverage(0, 0, ()))["Lineage coverage is 100 %"].ok
