"""What events say of predictions: which arm gave one, and whether its outcome proves it wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from triune.delivery.rollout.cohorts import CohortRule
from triune.ledger.envelope import Event

_LARGEST = 1e150
"""Numbers whose square is still one."""


@dataclass(frozen=True, slots=True)
class Side:
    """An arm by what its answers say: the release and, where two arms serve it, the role."""

    release: str
    arm: str | None = None

    def gave(self, event: Event) -> bool:
        """Whether a served prediction is of this arm."""
        payload = event.payload
        return payload.get("release") == self.release and self.arm in (None, payload.get("arm"))


@dataclass(frozen=True, slots=True)
class QualityRule:
    """Whose predictions are compared, and when one was wrong.

    Without a ``tolerance`` a prediction says yes from ``threshold`` on, and is wrong when the
    outcome's truth is another; with one it is a number, wrong when it is further off than that.
    """

    endpoint: str
    control: Side
    candidate: Side
    threshold: float = 0.5
    tolerance: float | None = None
    cohorts: CohortRule = field(default_factory=CohortRule)


class Label(NamedTuple):
    """What an outcome says of its prediction."""

    wrong: int
    square: float


def label_of(payload: Mapping[str, Any], rule: QualityRule) -> Label | None:
    """The label in an outcome's payload; None when there is no number to compare."""
    value, predicted = _number(payload.get("value")), _number(payload.get("predicted"))
    if value is None or predicted is None:
        return None
    if rule.tolerance is not None:
        return Label(int(abs(predicted - value) > rule.tolerance), (predicted - value) ** 2)
    truth = value != 0.0
    return Label(int((predicted >= rule.threshold) is not truth), (predicted - truth) ** 2)


def _number(value: object) -> float | None:
    if not isinstance(value, int | float) or not abs(value) < _LARGEST:
        return None
    return float(value)
