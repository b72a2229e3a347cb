"""What is known about a flight an hour before its scheduled departure.

The *moment of prediction* is `LEAD` before the scheduled departure. A record may take part
only when its own event time is at or before that moment:

- the schedule is published long before;
- a weather observation is known from its ``time_hour`` on;
- a departure delay is known once the aircraft has *actually departed* (a flight that left
  three hours late tells nothing until then, however early it was scheduled).

`tests/test_point_in_time.py` proves it: changing any later record never changes a feature.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from flights.data import KEY

LEAD = pd.Timedelta(hours=1)
RECENT = (pd.Timedelta(hours=1), pd.Timedelta(hours=2))
NO_DEPARTURES = 0.0
DELAY_BOUNDS = (-15.0, 180.0)

SCHEDULE = ("month", "day_of_week", "hour", "carrier", "origin", "dest", "distance")
# Column of the weather table -> (name of the feature, value before the first observation).
WEATHER = {
    "temp": ("temperature", 55.0),
    "dewp": ("dew_point", 42.0),
    "humid": ("humidity", 62.0),
    "wind_speed": ("wind_speed", 10.0),
    "wind_gust": ("wind_gust", 10.0),
    "precip": ("precipitation", 0.0),
    "pressure": ("pressure", 1018.0),
    "visib": ("visibility", 10.0),
}
DELAY = ("origin_delay_1h", "origin_delay_2h", "origin_delay_log", "origin_departures_2h")
ASOF = (*(name for name, _ in WEATHER.values()), *DELAY)
Seconds = np.ndarray[tuple[int], np.dtype[np.int64]]


def schedule(data: Path) -> pd.DataFrame:
    """Columns `SCHEDULE` for every flight, indexed by ``flight_key``."""
    return schedule_of(read_flights(data))


def asof(data: Path) -> pd.DataFrame:
    """Columns `ASOF` for every flight, indexed by ``flight_key``; always finite."""
    return asof_of(read_flights(data), read_weather(data))


def read_flights(data: Path) -> pd.DataFrame:
    """The flights with ``scheduled``, ``moment`` (of prediction) and ``departed`` in UTC.

    ``departed`` is missing when the flight never left.
    """
    columns = [KEY, "month", "day", "hour", "minute", "time_hour", "dep_delay", "arr_delay"]
    columns += ["air_time", "carrier", "tailnum", "origin", "dest", "distance"]
    return with_moments(pd.read_parquet(data / "flights.parquet", columns=columns))


def with_moments(flights: pd.DataFrame) -> pd.DataFrame:
    """The flights, by key, with the moments that decide what is known when."""
    flights = flights.set_index(KEY)
    scheduled = flights["time_hour"].dt.as_unit("us") + pd.to_timedelta(flights["minute"], unit="m")
    departed = scheduled + pd.to_timedelta(flights["dep_delay"], unit="m")
    times = {"scheduled": scheduled, "moment": scheduled - LEAD, "departed": departed}
    return flights.assign(**{name: value.dt.as_unit("us") for name, value in times.items()})


def read_weather(data: Path) -> pd.DataFrame:
    """Hourly observations at the three origins."""
    columns = ["origin", "time_hour", *WEATHER]
    return pd.read_parquet(data / "weather.parquet", columns=columns)


def schedule_of(flights: pd.DataFrame) -> pd.DataFrame:
    """The schedule's columns, from the flights."""
    local_date = pd.to_datetime(
        {"year": 2013, "month": flights["month"], "day": flights["day"]}, unit="s"
    )
    table = flights[["month", "hour", "carrier", "origin", "dest"]].assign(
        day_of_week=local_date.dt.day_of_week.astype("int64"),
        distance=flights["distance"].astype("float32"),
    )
    return table[list(SCHEDULE)]


def asof_of(flights: pd.DataFrame, weather: pd.DataFrame) -> pd.DataFrame:
    """Weather and recent delay at the origin, as known at each flight's moment."""
    table = pd.concat([_weather_known(flights, weather), _delay_known(flights)], axis="columns")
    return table[list(ASOF)].astype("float32")


def _weather_known(flights: pd.DataFrame, weather: pd.DataFrame) -> pd.DataFrame:
    """Each quantity's last observation at or before the moment; gaps keep the last value."""
    observed = observed_weather(weather)
    asked = flights[["origin", "moment"]].reset_index().sort_values("moment", kind="stable")
    known = pd.merge_asof(asked, observed, left_on="moment", right_on="time_hour", by="origin")
    known = known.set_index(flights.index.name).loc[flights.index]
    names = {column: name for column, (name, _) in WEATHER.items()}
    return known[list(WEATHER)].rename(columns=names).fillna(dict(WEATHER.values()))


def observed_weather(weather: pd.DataFrame) -> pd.DataFrame:
    """The observations in order of time, each gap filled with the origin's last value."""
    observed = weather.assign(time_hour=weather["time_hour"].dt.as_unit("us"))
    observed = observed.assign(wind_gust=observed["wind_gust"].fillna(observed["wind_speed"]))
    observed = observed.sort_values("time_hour", kind="stable")
    observed[list(WEATHER)] = observed.groupby("origin")[list(WEATHER)].ffill()
    return observed


def _delay_known(flights: pd.DataFrame) -> pd.DataFrame:
    """Mean departure delay (minutes) of flights that left the origin shortly before."""
    table = pd.DataFrame(index=flights.index, columns=list(DELAY), dtype="float64")
    for _, group in flights.groupby("origin"):
        known = delay_at(group, seconds_of(group["moment"]))
        table.loc[group.index] = known.set_axis(group.index)
    return table


def delay_at(flights: pd.DataFrame, asked: Seconds) -> pd.DataFrame:
    """Columns `DELAY` of one origin at these moments (seconds since 1970).

    A departure counts from its own second on, until exactly the span later.
    """
    left = flights.dropna(subset=["departed"]).sort_values("departed", kind="stable")
    departed = seconds_of(left["departed"])
    total = np.concatenate([[0.0], left["dep_delay"].clip(*DELAY_BOUNDS).cumsum()])
    last = departed.searchsorted(asked, side="right")
    table = pd.DataFrame(index=range(len(asked)), columns=list(DELAY), dtype="float64")
    for column, span in zip(("origin_delay_1h", "origin_delay_2h"), RECENT, strict=True):
        first = departed.searchsorted(asked - int(span.total_seconds()), side="right")
        count = last - first
        mean = (total[last] - total[first]) / np.maximum(count, 1)
        table[column] = np.where(count > 0, mean, NO_DEPARTURES)
        table["origin_departures_2h"] = count.astype("float64")
    shifted = table["origin_delay_2h"] - DELAY_BOUNDS[0]
    table["origin_delay_log"] = np.log1p(shifted.clip(lower=0.0))
    return table


def seconds_of(moments: pd.Series[pd.Timestamp]) -> Seconds:
    """Seconds since 1970."""
    return moments.dt.tz_convert(None).to_numpy("datetime64[s]").astype("int64")
