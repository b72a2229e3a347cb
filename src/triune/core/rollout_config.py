"""``[endpoints.<name>.rollout]``: how a release reaches users, and what sends it back."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from itertools import pairwise
from math import isfinite
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from triune.core.errors import Problem


class Strategy(StrEnum):
    """How traffic moves to a candidate."""

    BLUE_GREEN = "blue-green"
    CANARY = "canary"
    SHADOW = "shadow"


class Mode(StrEnum):
    """What follows when a metric shows harm."""

    OBSERVE = "observe"
    PAUSE = "pause"
    AUTOMATIC = "automatic"


class MetricName(StrEnum):
    """What can be compared between two arms; each counts requests that went wrong in one way."""

    ERRORS = "errors"
    TIMEOUTS = "timeouts"
    DEGRADED = "degraded"
    ABANDONED = "abandoned"
    LATENCY_P50 = "latency-p50"
    LATENCY_P90 = "latency-p90"
    LATENCY_P99 = "latency-p99"
    WRONG = "wrong"


class StrictTable(BaseModel):
    """A table of ``triune.toml``: frozen, and an unknown key is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class MetricTable(StrictTable):
    """``[[endpoints.<name>.rollout.metrics]]``: one thing the candidate must not make worse."""

    name: MetricName = Field(
        strict=False,
        description="`errors` (5xx), `timeouts`, `degraded` (answers of the fallback), "
        "`abandoned` (callers did not wait for the answer), "
        "`latency-p50`, `latency-p90`, `latency-p99`, `wrong` (predictions that outcomes refute)",
    )
    weight: Annotated[float, Field(gt=0)] = Field(
        default=1.0, description="its part of the error budget `alpha`, relative to the others"
    )
    margin: Annotated[float, Field(ge=0, le=3)] | None = Field(
        default=None,
        description="tolerated: 0.05 is 5 % (of the odds; of the time for latencies). "
        "Default 0, for latencies 0.05",
    )
    mode: Mode = Field(
        default=Mode.AUTOMATIC,
        strict=False,
        description="on harm: `automatic` rolls back, `pause` holds for a person, "
        "`observe` only records",
    )


class RolloutTable(StrictTable):
    """``[endpoints.<name>.rollout]``: strategy, steps and the evidence that decides."""

    strategy: Strategy = Field(
        default=Strategy.CANARY, strict=False, description="`canary`, `blue-green` or `shadow`"
    )
    steps: tuple[float, ...] = Field(
        default=(1.0, 5.0, 25.0, 50.0),
        strict=False,
        description="percent of units at each canary step, rising; then all",
    )
    step_s: Annotated[float, Field(gt=0)] = Field(
        default=300.0, description="seconds with readings before the next step"
    )
    min_requests: Annotated[int, Field(ge=1)] = Field(
        default=100, description="requests the candidate must answer at each step"
    )
    tick_s: Annotated[float, Field(ge=0.1, le=600)] = Field(
        default=10.0, description="seconds between two looks"
    )
    warm_up_s: Annotated[float, Field(ge=0)] = Field(
        default=120.0, description="seconds of the first step that are not judged"
    )
    horizon_s: Annotated[float, Field(gt=0)] = Field(
        default=86_400.0, description="after so many seconds without a decision a person is asked"
    )
    alpha: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.01, description="chance that a harmless candidate is ever rolled back"
    )
    latency_floor_ms: Annotated[float, Field(ge=0)] = Field(
        default=1.0, description="a candidate slower by less than this is not slower"
    )
    phi: Annotated[float, Field(ge=1)] = Field(
        default=1.0, description="least overdispersion assumed; more is estimated from the traffic"
    )
    baseline: bool = Field(
        default=False,
        description="compare with a fresh instance of the stable release, as old and as large as "
        "the candidate, instead of with the stable arm",
    )
    hard_stop_share: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.2, description="share of errors in a tick that rolls back at once ..."
    )
    hard_stop_errors: Annotated[int, Field(ge=1)] = Field(
        default=20, description="... when it is at least so many errors"
    )
    shadow_pairs: Annotated[int, Field(ge=0)] = Field(
        default=0,
        description="answers to compare in a shadow phase before any user is moved; 0: no such "
        "phase (1000 for the strategy `shadow`)",
    )
    shadow_share: Annotated[float, Field(gt=0, le=100)] = Field(
        default=100.0, description="percent of requests that are mirrored in the shadow phase"
    )
    shadow_disagreement: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.05, description="share of answers that may differ"
    )
    shadow_failures: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.01, description="share of mirrored requests that may fail"
    )
    score_threshold: float = Field(
        default=0.5, description="scores on different sides of it are different answers"
    )
    score_tolerance: Annotated[float, Field(ge=0)] | None = Field(
        default=None, description="for regressions: answers that differ by more are different"
    )
    label_coverage: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.8, description="share of a cohort's outcomes that must be known to judge it"
    )
    label_patience_s: Annotated[float, Field(gt=0)] = Field(
        default=86_400.0, description="a cohort without enough outcomes by then is not judged"
    )
    metrics: tuple[MetricTable, ...] = Field(
        default=(),
        strict=False,
        description="what is compared; by default errors and the three latencies",
    )


def mistakes(endpoint: str, table: dict[str, Any], file: str) -> Iterator[Problem]:
    """What no single field shows: steps that do not rise, times that do not fit, metrics twice.

    Read from the raw table, so that these are found even where another key is wrong.
    """
    key = f"endpoints.{endpoint}.rollout"
    yield from _steps(table.get("steps"), f"{key}.steps", file)
    if table.get("baseline") is True:
        yield from _room(table.get("steps"), f"{key}.steps", file)
    tick = table.get("tick_s", 10.0)
    for name, default in (("step_s", 300.0), ("horizon_s", 86_400.0)):
        value = table.get(name, default)
        if _numbers(tick, value) and 0 < value < tick:
            what = f"{value:g} s is shorter than a tick of {tick:g} s"
            yield Problem(file, f"{key}.{name}", what, f"Make it {tick:g} or more.")
    yield from _metrics(table.get("metrics"), f"{key}.metrics", file)


def _steps(steps: Any, key: str, file: str) -> Iterator[Problem]:
    if not isinstance(steps, list) or not _numbers(*steps):
        return
    if not steps:
        yield Problem(file, key, "there is no step", "Write e.g. steps = [1, 5, 25, 50].")
    for step in steps:
        if step <= 0:
            yield Problem(file, key, f"a step of {step:g} % moves nobody", "Begin above 0.")
        elif step < 0.01 or 99.99 < step < 100:
            what = f"{step:g} % leaves less than one bucket of 10,000 to an arm"
            yield Problem(file, key, what, "Use 0.01 to 99.99.")
        elif step > 100:
            yield Problem(file, key, f"a step of {step:g} % is past 100 %", "End below 100.")
        elif step == 100:
            what = "at 100 % there is nothing left to compare with"
            yield Problem(file, key, what, "Leave it out: promotion follows the last step.")
    for before, after in pairwise(steps):
        if round(after * 100) <= round(before * 100):
            what = f"the weights do not rise: {before:g} % is followed by {after:g} %"
            yield Problem(file, key, what, "Order them: a unit that moved never moves back.")


def _room(steps: Any, key: str, file: str) -> Iterator[Problem]:
    """A fresh baseline is as large as the candidate."""
    for step in steps if isinstance(steps, list) and _numbers(*steps) else []:
        if 50 < step < 100:
            what = f"beside a candidate of {step:g} % there is no room for a baseline of its size"
            yield Problem(file, key, what, "End at 50, or leave `baseline` out.")


def _metrics(metrics: Any, key: str, file: str) -> Iterator[Problem]:
    rows = [row for row in metrics if isinstance(row, dict)] if isinstance(metrics, list) else []
    names = [row.get("name") for row in rows]
    for name in sorted({str(name) for name in names if names.count(name) > 1}):
        yield Problem(file, key, f"the metric {name!r} is there twice", "Keep one of them.")
    if rows and all(row.get("mode") in ("observe", "pause") for row in rows):
        what = "no metric is `automatic`: nothing would ever roll back by itself"
        yield Problem(file, key, what, 'Give at least one mode = "automatic".')


def _numbers(*values: Any) -> bool:
    return all(
        isinstance(v, int | float) and not isinstance(v, bool) and isfinite(v) for v in values
    )
