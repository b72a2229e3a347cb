"""Whether two answers to the same request are different ones, and how far apart. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from triune.delivery.rollout.samples import Sample

_USUAL_THRESHOLD = 0.5
_USUAL_TOLERANCE = 0.01


@dataclass(frozen=True, slots=True)
class Rule:
    """When two answers are different ones.

    Scores differ when they lie on different sides of ``threshold`` in any row, with the usual
    threshold of 0.5 also when the labels do. Answers of several classes, and of models that give
    texts, differ when a label does. Other numbers differ when they are further apart than
    ``tolerance``; without one, than 1 % of the larger magnitude. An answer of another kind or
    length is always a different one. Of a long answer the first rows are compared, unless both
    are equal to the last bit, which their digests tell.
    """

    threshold: float = _USUAL_THRESHOLD
    tolerance: float | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """Whether the answers differ, the mean and the largest distance of their numbers (None
    where there are none to compare)."""

    differ: bool
    mean: float | None = None
    largest: float = 0.0


def compare(live: Sample, shadow: Sample, rule: Rule) -> Difference:
    """The difference of two good answers to the same request."""
    mine, theirs = _numbers(live), _numbers(shadow)
    if live.digest is not None and live.digest == shadow.digest:
        return Difference(False, None if mine is None else 0.0)
    if (mine is None) != (theirs is None) or len(mine or ()) != len(theirs or ()):
        return Difference(True)
    if _kind(live) != _kind(shadow):
        return Difference(True)
    differ = live.labels != shadow.labels if _labels_count(live, rule) else False
    if mine is None or theirs is None:
        return Difference(differ)
    distances = [abs(a - b) for a, b in zip(mine, theirs, strict=True)]
    differ = differ or _numbers_differ(live, mine, theirs, rule)
    return Difference(differ, sum(distances) / max(1, len(distances)), max(distances, default=0.0))


def _kind(sample: Sample) -> tuple[bool, bool, bool, int]:
    return (
        sample.labels is None,
        sample.probabilities is None,
        sample.values is None,
        sample.width,
    )


def _numbers(sample: Sample) -> tuple[float, ...] | None:
    return sample.probabilities if sample.probabilities is not None else sample.values


def _labels_count(sample: Sample, rule: Rule) -> bool:
    """A threshold of one's own replaces the labels of a classifier of two classes."""
    scores = sample.probabilities is not None and sample.width == 1
    return not scores or rule.threshold == _USUAL_THRESHOLD


def _numbers_differ(
    sample: Sample, mine: tuple[float, ...], theirs: tuple[float, ...], rule: Rule
) -> bool:
    pairs = zip(mine, theirs, strict=True)
    if sample.probabilities is None:
        return any(_apart(a, b, rule.tolerance) for a, b in pairs)
    if sample.width == 1:
        return any((a >= rule.threshold) != (b >= rule.threshold) for a, b in pairs)
    return sample.labels is None and _favourites(mine, sample.width) != _favourites(
        theirs, sample.width
    )


def _apart(a: float, b: float, tolerance: float | None) -> bool:
    allowed = _USUAL_TOLERANCE * max(abs(a), abs(b)) if tolerance is None else tolerance
    return abs(a - b) > allowed


def _favourites(numbers: tuple[float, ...], width: int) -> list[int]:
    """The place of each row's largest number."""
    whole = len(numbers) // width * width
    rows = (numbers[start : start + width] for start in range(0, whole, width))
    return [row.index(max(row)) for row in rows]
