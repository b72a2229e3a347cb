"""The nouns of streams, and how an event is read. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from triune.core.stream_config import Aggregation, FieldType
from triune.data.features.online.layout import ViewLayout

ADVANCE = "triune-advance"
"""Header of a message that is no event: it only says what time it is."""

Prepare = Callable[[Mapping[str, Any]], Mapping[str, Any]]
Transform = Callable[[float], float]


class Reason(StrEnum):
    """Why an event became a dead letter."""

    NOT_JSON = "not-json"
    NOT_AN_OBJECT = "not-an-object"
    PREPARE_FAILED = "prepare-failed"
    FIELD_MISSING = "field-missing"
    WRONG_TYPE = "wrong-type"
    LATE = "late"

    @property
    def sentence(self) -> str:
        return _SENTENCES[self]


_SENTENCES = {
    Reason.NOT_JSON: "Its bytes are no JSON.",
    Reason.NOT_AN_OBJECT: "It is JSON, but no object.",
    Reason.PREPARE_FAILED: "The stream's `prepare` function failed on it.",
    Reason.FIELD_MISSING: "A field that the stream declares is missing.",
    Reason.WRONG_TYPE: "A field has another type than the stream declares.",
    Reason.LATE: "It came later than `lateness_s` allows.",
}


@dataclass(frozen=True, slots=True)
class Aggregate:
    """One feature: how the events of its window become a value; see `AggregateTable`."""

    name: str
    aggregation: Aggregation
    field: str | None
    window_us: int | None
    empty: float | None
    transform: Transform | None = None


@dataclass(frozen=True)
class Spec:
    """A stream, ready to be applied.

    ``entities`` are the event's fields that hold the join keys, in the layout's order;
    ``order`` are the aggregates in the layout's order of features.
    """

    name: str
    topic: str
    layout: ViewLayout
    entities: tuple[str, ...]
    time: str
    id: str
    fields: Mapping[str, FieldType]
    order: tuple[Aggregate, ...]
    lateness_us: int
    prepare: Prepare | None = None
    wall: bool = False

    @property
    def dead(self) -> str:
        """The topic of its dead letters."""
        return f"{self.topic}.dead"

    @property
    def longest_us(self) -> int:
        """The longest window."""
        return max((one.window_us or 0 for one in self.order), default=0)


@dataclass(frozen=True, slots=True)
class Happened:
    """An event that was read: whose it is, when it happened, and its fields."""

    entity: tuple[Any, ...]
    time_us: int
    id: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rejected:
    """An event that cannot be used, and why."""

    reason: Reason
    detail: str


def read(spec: Spec, value: bytes | None) -> Happened | Rejected:
    """An event from a message's bytes."""
    try:
        event = json.loads(value or b"")
    except (ValueError, RecursionError) as error:
        return Rejected(Reason.NOT_JSON, str(error))
    if not isinstance(event, dict):
        return Rejected(Reason.NOT_AN_OBJECT, f"it is a {type(event).__name__}")
    if spec.prepare is not None:
        try:
            event = dict(spec.prepare(event))
        except Exception as error:
            return Rejected(Reason.PREPARE_FAILED, f"{type(error).__name__}: {error}")
    fields = {}
    for name, kind in spec.fields.items():
        if event.get(name) is None:
            return Rejected(Reason.FIELD_MISSING, name)
        try:
            fields[name] = typed(kind, event[name])
        except (TypeError, ValueError, OverflowError) as error:
            return Rejected(Reason.WRONG_TYPE, f"{name}: {error}")
    entity = tuple(fields[name] for name in spec.entities)
    return Happened(entity, fields[spec.time], str(fields[spec.id]), fields)


def typed(kind: FieldType, value: Any) -> Any:
    """A field's value; a time as microseconds since 1970.

    Raises
    ------
    TypeError, ValueError: it is of another type.
    """
    match kind:
        case FieldType.STRING if isinstance(value, str):
            return value
        case FieldType.BOOLEAN if isinstance(value, bool):
            return value
        case FieldType.INTEGER if isinstance(value, int) and not isinstance(value, bool):
            return value
        case FieldType.FLOAT if isinstance(value, int | float) and not isinstance(value, bool):
            return _finite(float(value))
        case FieldType.TIMESTAMP if isinstance(value, str):
            return microseconds(datetime.fromisoformat(value))
        case FieldType.TIMESTAMP if isinstance(value, int) and not isinstance(value, bool):
            return value * 1_000_000
    raise TypeError(f"{json.dumps(value)[:100]} is no {kind.value}")


def microseconds(moment: datetime) -> int:
    """Microseconds since 1970; a time without a zone is UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int(aware.replace(microsecond=0).timestamp()) * 1_000_000 + aware.microsecond


def _finite(number: float) -> float:
    if number - number != 0.0:
        raise ValueError("it is not finite")
    return number
