"""What the loop holds itself to, decided from what its steps found; pure but for one file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from triune.app.loop import data_checks
from triune.app.loop.exposure import exposure, flipped_back, own_failure
from triune.app.loop.model import Check, LoopState, Step
from triune.app.replay.model import Record
from triune.ledger.lineage import Coverage

ROLLBACK_LIMIT_SECONDS = 2.0
SETTLE_SECONDS = 1.0
"""Around the unplanned failure of F, requests in flight may fail; nowhere else."""
FLAG_LIMIT_SECONDS = 1.0
EVIDENCE_LIMIT_SECONDS = 60.0
HARMED_LIMIT = 60
"""How long the bad canary may reach users, and how many requests it may fail for them."""


def judge(state: LoopState, records: Iterable[Record], coverage: Coverage) -> tuple[Check, ...]:
    """Every check, in the order people read them."""
    facts, every = state.facts, list(records)
    canary, harm = facts[Step.CANARY.value], facts[Step.HARM.value]
    return (
        _nothing_lost(facts, every),
        _all_in_ledger(facts[Step.LINEAGE.value]),
        _won(facts[Step.DECIDE.value]),
        _known(facts[Step.FLAG.value]),
        _compared(facts[Step.SHADOW.value], every),
        _promoted(canary),
        _sticky(canary, every),
        _taken_back(harm, canary, every),
        _refused(facts[Step.REFUSE.value], canary),
        _rolled_back(facts[Step.FAIL.value], canary),
        _traced(facts[Step.LINEAGE.value]),
        _covered(coverage),
        _in_mlflow(facts[Step.REPRODUCE.value], facts[Step.TRAIN.value]),
        _reproduced(facts[Step.REPRODUCE.value]),
        *data_checks.judge(facts),
    )


def _nothing_lost(facts: Mapping[str, Mapping[str, Any]], records: Sequence[Record]) -> Check:
    """Bad are all but those of F's failure, and D's own answers while it was a canary."""
    begin, end = failure_window(facts[Step.FAIL.value])
    harmful, sent = facts[Step.HARM.value]["release"], facts[Step.LINEAGE.value]["sent"]
    bad = [record for record in records if not record.good]
    failing = sum(begin <= record.sent / 1e6 <= end for record in bad)
    own = sum(own_failure(record, harmful) for record in bad)
    lost = len(bad) - failing - own + sent - len(records)
    return Check(
        "No request was lost or failed at a planned switch",
        lost == 0 and len(records) == sent > 0,
        f"{lost} of {sent} requests; besides, D answered {own} with an error "
        f"and {failing} failed with F",
    )


def failure_window(fail: Mapping[str, Any]) -> tuple[float, float]:
    """From just before F's first failed health check until just after the rollback."""
    why = fail["why"]
    since = float(why["since"])
    return since - SETTLE_SECONDS, since + float(why["seconds"]) + SETTLE_SECONDS


def _all_in_ledger(lineage: Mapping[str, Any]) -> Check:
    return Check(
        "Every answer is in the ledger, once",
        lineage["served"] == lineage["good"],
        f"{lineage['served']} predictions for {lineage['good']} good answers",
    )


def _won(decided: Mapping[str, Any]) -> Check:
    return Check(
        "The A/B test found release B better, and B took over",
        decided["winner"] == "b" and decided["verdict"] == "pass" and decided["agrees"],
        f"{decided['reason']}; computed anew from the ledger: "
        f"{'the same' if decided['agrees'] else 'something else'}",
    )


def _known(flag: Mapping[str, Any]) -> Check:
    return Check(
        f"A flag flipped under traffic was known within {FLAG_LIMIT_SECONDS:g} s",
        flag["seconds"] <= FLAG_LIMIT_SECONDS and flag["errors"] == flag["back"] == 0,
        f"{flag['seconds'] * 1e3:.0f} ms; of {flag['evaluations']} evaluations "
        f"{flag['errors']} failed and {flag['back']} went back to before",
    )


def _compared(shadow: Mapping[str, Any], records: Sequence[Record]) -> Check:
    """Nobody got an answer of the shadow's from when its rollout began until it was over."""
    meanwhile = [r for r in records if shadow["began"] <= r.sent / 1e6 <= shadow["ended"]]
    seen = sum(record.release == shadow["release"] for record in meanwhile)
    found = shadow["compared"] or {}
    passed = shadow["outcome"] == "compared" and shadow["why"].get("verdict") == "pass"
    return Check(
        "Release C was compared as a shadow, and no user got an answer of it",
        passed and bool(meanwhile) and seen == 0,
        f"{shadow['reason']}; C answered {seen} of {len(meanwhile)} requests"
        if found
        else shadow["reason"],
    )


def _promoted(canary: Mapping[str, Any]) -> Check:
    return Check(
        "The good canary C was promoted by evidence",
        canary["outcome"] == "promoted"
        and canary["verdict"] == "pass"
        and canary["live"] == canary["release"],
        f"{canary['outcome']}: {canary['reason']}",
    )


def _sticky(canary: Mapping[str, Any], records: Sequence[Record]) -> Check:
    meanwhile = [r for r in records if canary["began"] <= r.sent / 1e6 <= canary["ended"]]
    units, back = flipped_back(meanwhile, canary["release"], canary["stable"])
    return Check(
        "No unit lost C again while its share rose",
        units > 0 and back == 0,
        f"{back} of {units} units",
    )


def _taken_back(
    harm: Mapping[str, Any], canary: Mapping[str, Any], records: Sequence[Record]
) -> Check:
    """By evidence: the e-value has reached what was needed, and errors are what it names."""
    why, reached = harm["why"], exposure(records, harm["release"])
    own = sum(own_failure(record, harm["release"]) for record in records)
    by_evidence = (
        harm["outcome"] == "rolled-back"
        and "errors" in why.get("metrics", [])
        and float(why.get("e", 0.0)) >= harm["needed"]
    )
    small = reached.failed == own <= HARMED_LIMIT and reached.seconds <= EVIDENCE_LIMIT_SECONDS
    return Check(
        f"The bad canary D was taken back by evidence within {EVIDENCE_LIMIT_SECONDS:.0f} s",
        by_evidence and reached.units > 0 and small and harm["live"] == canary["release"],
        f"{reached.seconds:.1f} s after its first user; e-value {float(why.get('e', 0.0)):.3g}; "
        f"{reached.failed} of its {reached.requests} answers to {reached.units} units failed",
    )


def _refused(refuse: Mapping[str, Any], canary: Mapping[str, Any]) -> Check:
    return Check(
        "Release E was refused and C served on",
        bool(refuse["refused"]) and refuse["live"] == canary["release"],
        refuse["refused"] or "E was not refused",
    )


def _rolled_back(fail: Mapping[str, Any], canary: Mapping[str, Any]) -> Check:
    seconds = float(fail["why"]["seconds"])
    return Check(
        "Traffic was back on C within 2 s of F's first failed health check",
        seconds <= ROLLBACK_LIMIT_SECONDS and fail["live"] == canary["release"],
        f"{seconds:.2f} s",
    )


def _traced(lineage: Mapping[str, Any]) -> Check:
    return Check(
        "A prediction of the live traffic traces back to its data",
        not lineage["gaps"] and bool(lineage["ancestors"]),
        "; ".join(lineage["gaps"]) or f"{len(lineage['ancestors'])} ancestors, none missing",
    )


def _covered(coverage: Coverage) -> Check:
    return Check(
        "Lineage coverage is 100 %",
        coverage.total > 0 and coverage.complete == coverage.total,
        f"{coverage.complete} of {coverage.total} artifacts",
    )


def _in_mlflow(reproduce: Mapping[str, Any], trained: Mapping[str, Any]) -> Check:
    return Check(
        "Every run is in MLflow, with all it logged",
        reproduce["shipped"] == len(trained) > 0,
        f"{reproduce['shipped']} of {len(trained)} runs",
    )


def _reproduced(reproduce: Mapping[str, Any]) -> Check:
    return Check(
        "Run C done again is identical",
        reproduce["verdict"] == "identical",
        f"{reproduce['verdict']}: {reproduce['words']}",
    )
