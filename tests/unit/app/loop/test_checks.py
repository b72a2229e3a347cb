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
    canary = {
        "outcome": "promoted", "verdict": "pass", "reason": "no metric shows harm",
        "release": "c", "stable": "b", "live": "c", "began": 200.0, "ended": 300.0,
    }  # fmt: skip
    harm = {
        "outcome": "rolled-back", "release": "d", "live": "c", "needed": 100.0,
        "why": {"metrics": ["errors"], "e": 250.0},
    }  # fmt: skip
    shadow = {
        "outcome": "compared", "why": {"verdict": "pass"}, "release": "c", "began": 100.0,
        "ended": 150.0, "compared": {"pairs": 1000}, "reason": "0 of 1000 answers differ",
    }  # fmt: skip
    return {
        "data": {"checked": {"flights": "pass"}},
        "stages": {"ran": ["weather"], "again": [], "versions": {"weather": "dataset:weather@1"}},
        "online": {
            "asked": 51,
            "differing": 0,
            "moments": 4,
            "gaps": [],
            "fed_by": ["materialisation:1", "stream:departures/0@0-9"],
        },
        "backup": {"verdict": "pass", "words": "12 files"},
        "train": {"first": {"run": "1"}, "better": {"run": "2"}},
        "decide": {"winner": "b", "verdict": "pass", "agrees": True, "reason": "b is better"},
        "flag": {"seconds": 0.08, "evaluations": 4000, "errors": 0, "back": 0},
        "shadow": shadow,
        "canary": canary,
        "harm": harm,
        "refuse": {"refused": "AUC 0.3", "live": "c"},
        "fail": {"live": "c", "why": {"since": SINCE, "seconds": 0.4}},
        "lineage": {"sent": 9, "served": 7, "good": 7, "gaps": [], "ancestors": ["model:m@1"]},
        "reproduce": {"verdict": "identical", "words": "3 metrics", "shipped": 2},
    }


def record(
    at: float, status: int = 200, *, release: str = "c", unit: str = "u", arm: str = "stable"
) -> Record:
    sent = round(at * 1e6)
    return Record(0, sent, took=900, status=status, unit=unit, release=release, arm=arm)


GOOD = [
    record(120, release="b"),
    record(210, release="b"),
    record(220, release="c", arm="candidate"),
    record(310),
    record(400, release="d", arm="candidate"),
    record(401, 500, release="d", arm="candidate"),
    record(402),
    record(SINCE + 0.1, 503, release="f"),
    record(SINCE + 500),
]


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
    assert len(judged()) == 19


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"data": {"checked": {"flights": "pass", "planes": "fail"}}}, "expectations"),
        ({"stages": {"again": ["weather"]}}, "stage"),
        ({"stages": {"versions": {}}}, "stage"),
        ({"online": {"differing": 1}}, "looked up"),
        ({"online": {"asked": 0}}, "looked up"),
        ({"online": {"gaps": ["no commit"]}}, "looked-up"),
        ({"online": {"fed_by": ["materialisation:1"]}}, "looked-up"),
        ({"backup": {"verdict": "fail", "words": "a hash differs"}}, "backup"),
        ({"decide": {"winner": "", "verdict": "not yet"}}, "A/B test"),
        ({"decide": {"agrees": False}}, "A/B test"),
        ({"flag": {"seconds": 1.2}}, "flag"),
        ({"flag": {"errors": 1}}, "flag"),
        ({"flag": {"back": 2}}, "flag"),
        ({"lineage": {"served": 6}}, "ledger"),
        ({"lineage": {"served": 8}}, "ledger"),
        ({"shadow": {"outcome": "rolled-back"}}, "shadow"),
        ({"shadow": {"why": {"verdict": "fail"}}}, "shadow"),
        ({"shadow": {"began": 101.0, "ended": 102.0}}, "shadow"),
        ({"shadow": {"ended": 230.0}}, "shadow"),
        ({"canary": {"verdict": "not yet"}}, "good canary"),
        ({"canary": {"outcome": "rolled-back"}}, "good canary"),
        ({"canary": {"began": 230.0}}, "No unit"),
        ({"harm": {"outcome": "promoted"}}, "bad canary"),
        ({"harm": {"live": "d"}}, "bad canary"),
        ({"harm": {"why": {"metrics": ["latency-p99"], "e": 250.0}}}, "bad canary"),
        ({"harm": {"why": {"metrics": ["errors"], "e": 50.0}}}, "bad canary"),
        ({"refuse": {"refused": ""}}, "refused"),
        ({"refuse": {"live": "e"}}, "refused"),
        ({"fail": {"live": "f"}}, "2 s"),
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


def judged_with(extra: list[Record]) -> dict[str, Check]:
    return judged({"lineage": {"sent": len(GOOD) + len(extra)}}, [*GOOD, *extra])


@pytest.mark.parametrize(
    "bad",
    [
        record(SINCE - 500, 503),
        record(SINCE + 60, 0),
        record(SINCE - 9, 500),
        record(401, 0, release="", arm=""),
        record(401, 500, release="c", arm="stable"),
        record(401, 500, release="d", arm="stable"),
        record(220, 500, release="c", arm="candidate"),
    ],
)
def test_a_bad_request_but_for_the_failure_of_f_and_the_canary_d_fails(bad: Record) -> None:
    check = next(iter(judged_with([bad]).values()))
    assert not check.ok
    assert check.detail.startswith("1 of 10")


def test_a_request_without_a_record_counts_as_lost() -> None:
    check = next(iter(judged({"lineage": {"sent": 11}}).values()))
    assert not check.ok
    assert check.detail.startswith("2 of 11")


def failed(extra: list[Record]) -> list[str]:
    return [name for name, check in judged_with(extra).items() if not check.ok]


def test_the_shadow_may_answer_nobody() -> None:
    (name,) = failed([record(130, release="c")])
    assert "shadow" in name


def test_a_unit_may_not_lose_the_candidate_again() -> None:
    (name,) = failed([record(230, release="b")])
    assert "No unit" in name
    assert failed([record(230, release="b", unit="another")]) == []


def test_the_bad_canary_may_neither_reach_users_for_long_nor_fail_many() -> None:
    (name,) = failed([record(400 + checks.EVIDENCE_LIMIT_SECONDS + 1, release="d")])
    assert "bad canary" in name
    worse = record(401, 500, release="d", arm="candidate")
    assert failed([worse] * (checks.HARMED_LIMIT - 1)) == []
    (name,) = failed([worse] * checks.HARMED_LIMIT)
    assert "bad canary" in name


def test_incomplete_coverage_fails() -> None:
    assert not judged(coverage=Coverage(4, 3, ()))["Lineage coverage is 100 %"].ok
    assert not judged(coverage=Coverage(0, 0, ()))["Lineage coverage is 100 %"].ok


def test_steps_that_a_workspace_does_not_have_are_not_judged() -> None:
    with_all = facts()
    without = {k: v for k, v in with_all.items() if k not in {"stages", "online", "backup"}}
    state = LoopState(id="l", basis="b", started=0.0, facts=without)
    assert len(checks.judge(state, GOOD, Coverage(4, 4, ()))) == 15
