"""What is looked up at serving time, as Feast knows it: weather and recent delay at the origin.

Both tables are made by the stages of `dvc.yaml`. The delay is also streamed: its rows are pushed as
departures become known, and the table serves training sets.
"""

from __future__ import annotations

from datetime import timedelta

from feast import Entity, FeatureView, Field, FileSource, PushSource
from feast.types import Float32
from feast.value_type import ValueType

from flights.features import DELAY, WEATHER
from flights.stages import MOMENT

origin = Entity(
    name="origin",
    join_keys=["origin"],
    value_type=ValueType.STRING,
    description="The airport that a flight leaves from.",
)

weather = FeatureView(
    name="weather",
    entities=[origin],
    schema=[Field(name=name, dtype=Float32) for name, _ in WEATHER.values()],
    source=FileSource(
        name="weather_table", path="data/weather/weather.parquet", timestamp_field=MOMENT
    ),
    description="The last observation at the origin.",
)

departures = FileSource(
    name="delays_table", path="data/delays/delays.parquet", timestamp_field=MOMENT
)
origin_delay = FeatureView(
    name="origin_delay",
    entities=[origin],
    ttl=timedelta(0),
    schema=[Field(name=name, dtype=Float32) for name in DELAY],
    source=PushSource(name="departures", batch_source=departures),
    description="How late flights left the origin in the last one and two hours.",
)
