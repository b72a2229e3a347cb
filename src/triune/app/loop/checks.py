"""What the loop holds itself to, decided from what its steps found; pure but for one file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from triune.app.loop.model import Check, LoopState, Step
from triune.app.replay.model import Record
from triune.ledger.lineage import Coverage

ROLLBACK_LIMIT_SECONDS = 2.0
SETTLE_SECONDS = 1.0
"""Around the unplanned failure of D, requests in flight may fail; nowhere else."""


def judge(state: LoopState, records: Iterable[Record], coverage: Coverage) -> tuple[Check, ...]:
    """Every check, in the order people read them."""
    facts = state.facts
    return (
        _nothing_lost(facts[Step.FAIL.value], facts[Step.LINEAGE.value]["sent"], records),
        _all_in_ledger(facts[Step.LINEAGE.value]),
        _refused(facts[Step.REFUSE.value], facts[Step.SWITCH.value]),
        _rolled_back(facts[Step.FAIL.value], facts[Step.SWITCH.value]),
        _traced(facts[Step.LINEAGE.value]),
        _covered(coverage),
        _in_mlflow(facts[Step.REPRODUCE.value], facts[Step.TRAIN.value]),
        _reproduced(facts[Step.REPRODUCE.value]),
    )


def _nothing_lost(fail: Mapping[str, Any], sent: int, records: Iterable[Record]) -> Check:
    begin, end = failure_window(fail)
    total, inside, outside = 0, 0, 0
    for record in records:
        total += 1
        if record.good:
            continue
        if begin <= record.sent / 1e6 <= end:
            inside += 1
        else:
            outside += 1
    return Check(
        "No request was lost or failed at a planned switch",
        outside == 0 and total == sent > 0,
        f"{outside + sent - total} of {sent} requests; {inside} more while D was failing",
    )


def failure_window(fail: Mapping[str, Any]) -> tuple[float, float]:
    """From just before D's first failed health check until just after the rollback."""
    why = fail["why"]
    since = float(why["since"])
    return since - SETTLE_SECONDS, since + float(why["seconds"]) + SETTLE_SECONDS


def _all_in_ledger(lineage: Mapping[str, Any]) -> Check:
    return Check(
        "Every answer is in the ledger, once",
        lineage["served"] == lineage["good"],
        f"{lineage['served']} predictions for {lineage['good']} good answers",
    )


def _refused(refuse: Mapping[str, Any], switch: Mapping[str, Any]) -> Check:
    return Check(
        "Release C was refused and B served on",
        bool(refuse["refused"]) and refuse["live"] == switch["release"],
        refuse["refused"] or "C was not refused",
    )


def _rolled_back(fail: Mapping[str, Any], switch: Mapping[str, Any]) -> Check:
    seconds = float(fail["why"]["seconds"])
    return Check(
        "Traffic was back on B within 2 s of D's first failed health check",
        seconds <= ROLLBACK_LIMIT_SECONDS and fail["live"] == switch["release"],
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
        "Run B done again is identical",
        reproduce["verdict"] == "identical",
        f"{reproduce['verdict']}: {reproduce['words']}",
    )
