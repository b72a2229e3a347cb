"""Judging a run done again: pure comparison of what it gave with what it gave before."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from triune.models.tracking.model import History


class Verdict(StrEnum):
    """How a rerun came out."""

    IDENTICAL = "identical"
    """Every value is equal bit for bit."""
    WITHIN_TOLERANCE = "within tolerance"
    """Every value is as near as was asked for, and some are not equal."""
    DIFFERENT = "different"
    """Some value is further away, or there is something the other run does not have."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run gave: metrics over time, its model's answers to the example (nested lists,
    None without a model), and the model's files by digest."""

    history: History
    answers: Any
    files: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Finding:
    """One place where two runs are not equal. ``distance`` is the relative difference of the
    worst pair of values; None where values cannot be compared at all."""

    where: str
    what: str
    distance: float | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict, what was compared to reach it, and every place that is not equal.

    ``notes`` are differences that do not count: bytes of files whose model answers equally.
    """

    verdict: Verdict
    compared: tuple[str, ...]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]


def judge(before: Outcome, now: Outcome, *, tolerance: float = 0.0) -> Judgement:
    """Compare two outcomes; ``tolerance`` is the largest relative difference allowed.

    A run that gave nothing to compare is never called identical.
    """
    findings = [*_metrics(before.history, now.history), *_answers(before.answers, now.answers)]
    points = sum(len(values) for values in before.history.values())
    compared = []
    if points:
        compared.append(f"{points} values of {len(before.history)} metrics, bit for bit")
    if before.answers is not None:
        count = sum(1 for _ in _leaves(before.answers))
        compared.append(f"{count} values the model answers to its example, bit for bit")
    if not compared:
        findings.append(Finding("run", "it gave neither metrics nor a model: nothing to compare"))
    notes = _files(before.files, now.files)
    if before.files and not notes:
        compared.append(f"{len(before.files)} files of the model by digest")
    return Judgement(_verdict(findings, tolerance), tuple(compared), tuple(findings), notes)


def _verdict(findings: Sequence[Finding], tolerance: float) -> Verdict:
    if not findings:
        return Verdict.IDENTICAL
    near = all(f.distance is not None and f.distance <= tolerance for f in findings)
    return Verdict.WITHIN_TOLERANCE if near else Verdict.DIFFERENT


def _metrics(before: History, now: History) -> Iterator[Finding]:
    for name in sorted(before.keys() | now.keys()):
        where = f"metric {name}"
        if name not in now:
            yield Finding(where, "is not there any more")
        elif name not in before:
            yield Finding(where, "was not there before")
        else:
            yield from _points(where, before[name], now[name])


def _points(
    where: str, before: Sequence[tuple[int, float]], now: Sequence[tuple[int, float]]
) -> Iterator[Finding]:
    if [step for step, _ in before] != [step for step, _ in now]:
        yield Finding(where, f"has {len(now)} values at other steps; before {len(before)}")
        return
    pairs = [(f"step {s}", old, new) for (s, old), (_, new) in zip(before, now, strict=True)]
    yield from _worst(where, pairs)


def _answers(before: Any, now: Any) -> Iterator[Finding]:
    where = "model's answers"
    if (before is None) != (now is None):
        yield Finding(where, "are not there any more" if now is None else "were not there before")
        return
    old, new = list(_leaves(before)), list(_leaves(now))
    if [place for place, _ in old] != [place for place, _ in new]:
        yield Finding(where, f"have another shape: {len(new)} values; before {len(old)}")
        return
    yield from _worst(where, [(p, a, b) for (p, a), (_, b) in zip(old, new, strict=True)])


def _worst(where: str, pairs: Sequence[tuple[str, Any, Any]]) -> Iterator[Finding]:
    """One finding for all unequal pairs: how many, and the pair furthest apart."""
    unequal = [(place, old, new) for place, old, new in pairs if not _same(old, new)]
    if not unequal:
        return
    distances = [_distance(old, new) for _, old, new in unequal]
    if None in distances:
        index: int = distances.index(None)
        distance = None
    else:
        known = [d for d in distances if d is not None]
        distance = max(known)
        index = known.index(distance)
    place, old, new = unequal[index]
    what = f"{len(unequal)} of {len(pairs)} values differ, most at {place}: {new!r}, before {old!r}"
    yield Finding(where, what, distance)


def _same(old: Any, new: Any) -> bool:
    if isinstance(old, float) and isinstance(new, float):
        return struct.pack("<d", old) == struct.pack("<d", new)
    return type(old) is type(new) and bool(old == new)


def _distance(old: Any, new: Any) -> float | None:
    numbers = isinstance(old, int | float) and isinstance(new, int | float)
    if not numbers or not (math.isfinite(old) and math.isfinite(new)):
        return None
    largest = max(abs(old), abs(new))
    return abs(old - new) / largest if largest else 0.0


def _leaves(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """The values inside nested lists and objects, each with its place."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _leaves(item, f"{place}[{index}]")
    elif isinstance(value, dict):
        for key in sorted(value):
            yield from _leaves(value[key], f"{place}.{key}")
    elif value is not None or place:
        yield place or "value", value


def _files(before: Mapping[str, str], now: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(
        f"{name}: {_file_note(before.get(name), now.get(name))}"
        for name in sorted(before.keys() | now.keys())
        if before.get(name) != now.get(name)
    )


def _file_note(before: str | None, now: str | None) -> str:
    if now is None:
        return "not made this time"
    return "other bytes" if before else "not made before"
