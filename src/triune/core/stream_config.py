"""``[streams.<name>]``: events on a topic that become online features."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from triune.core.rollout_config import StrictTable

Topic = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,200}$")]


class FieldType(StrEnum):
    """What a field of an event holds."""

    INTEGER = "integer"
    FLOAT = "float"
    STRING = "string"
    BOOLEAN = "boolean"
    TIMESTAMP = "timestamp"


class Aggregation(StrEnum):
    """How the events of a window become one value."""

    COUNT = "count"
    SUM = "sum"
    MEAN = "mean"
    MIN = "min"
    MAX = "max"
    LAST = "last"


class StreamClock(StrEnum):
    """What moves a stream's time."""

    EVENTS = "events"
    WALL = "wall"


class AggregateTable(StrictTable):
    """``[streams.<name>.features.<feature>]``: one windowed value of each entity."""

    aggregation: Aggregation = Field(
        strict=False, description="`count`, `sum`, `mean`, `min`, `max`, `last`"
    )
    field: str | None = Field(default=None, description="the event's field; `count` needs none")
    window_s: Annotated[float, Field(gt=0)] | None = Field(
        default=None,
        description="seconds an event counts for, from its own time on; only `last` may go without",
    )
    empty: float | None = Field(
        default=None, description="value while the window holds no event; default a missing value"
    )
    transform: str | None = Field(
        default=None,
        description="`module:function` of the workspace's code, applied to the value",
    )


class StreamTable(StrictTable):
    """``[streams.<name>]``: a topic, the shape of its events and the feature view they feed."""

    topic: Topic = Field(description="the topic's name")
    view: str = Field(description="the feature view that its values are written to")
    entities: dict[str, str] = Field(
        description="join key of the view -> the event's field that holds it"
    )
    time: str = Field(description="the event's field with its time")
    id: str = Field(description="the event's field that identifies it; a second one is ignored")
    fields: dict[str, Annotated[FieldType, Field(strict=False)]] = Field(
        description="each field of an event and its type; others are ignored"
    )
    features: dict[str, AggregateTable] = Field(description="each feature of the view")
    prepare: str | None = Field(
        default=None,
        description="`module:function(event)` of the workspace's code: gives the event with "
        "further fields, before the fields are checked",
    )
    recorded: str | None = Field(
        default=None,
        description="`module:function(workspace, after, until)` of the workspace's code: recorded "
        "events between two times (or None), in order, for `triune streams publish --recorded`",
    )
    clock: StreamClock = Field(
        default=StreamClock.EVENTS,
        strict=False,
        description="`events`: time moves with the events alone; `wall`: also without any",
    )
    lateness_s: Annotated[float, Field(ge=0)] = Field(
        default=3600.0, description="an event later than this goes to the dead letters"
    )
    partitions: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=1, description="partitions of the topic when it is created"
    )
