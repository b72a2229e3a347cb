"""No feature may know what happened after the moment of prediction."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from flights.data import KEY
from flights.features import ASOF, DELAY, LEAD, WEATHER, asof_of, with_moments
from flights.stages import MOMENT, delays, weather

START = pd.Timestamp("2013-06-01T12:00:00", tz="UTC").as_unit("us")
QUANTITIES = ["temp", "dewp", "humid", "wind_speed", "wind_gust", "precip", "pressure", "visib"]

numbers = st.integers(-30, 200)
hours = st.integers(0, 9)
origins = st.sampled_from(["EWR", "JFK"])
flight_rows = st.lists(
    st.tuples(origins, hours, st.integers(0, 59), st.none() | st.integers(-20, 400)),
    min_size=2,
    max_size=14,
)
weather_rows = st.lists(st.tuples(origins, hours, st.none() | numbers), max_size=14)


def flights_of(rows: list[tuple[str, int, int, int | None]]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["origin", "hour", "minute", "dep_delay"])
    table["time_hour"] = START + pd.to_timedelta(table["hour"], unit="h")
    table["dep_delay"] = table["dep_delay"].astype("float64")
    table[KEY] = np.arange(len(table))
    return with_moments(table)


def weather_of(rows: list[tuple[str, int, float | None]]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["origin", "hour", "value"])
    table["origin"] = table["origin"].astype("str")
    table["time_hour"] = START + pd.to_timedelta(table["hour"].astype("int64"), unit="h")
    values = {name: table["value"].astype("float64") for name in QUANTITIES}
    return table[["origin", "time_hour"]].assign(**values)


@settings(max_examples=60, deadline=None)
@given(flight_rows, weather_rows, st.data())
def test_changing_later_records_never_changes_a_feature(
    flight_list: list[tuple[str, int, int, int | None]],
    weather_list: list[tuple[str, int, float | None]],
    data: st.DataObject,
) -> None:
    flights, weather = flights_of(flight_list), weather_of(weather_list)
    asked = data.draw(st.integers(0, len(flights) - 1))
    moment = flights["moment"].iloc[asked]

    later = [
        (origin, hour, minute, data.draw(st.none() | st.integers(0, 2000)))
        if _unknown_at(departed, moment) and data.draw(st.booleans())
        else (origin, hour, minute, delay)
        for (origin, hour, minute, delay), departed in zip(
            flight_list, flights["departed"], strict=True
        )
    ]
    changed_flights = flights_of(later)
    # A change may not itself move a departure to before the moment: that would be news.
    told = (changed_flights["departed"] <= moment) & ~(flights["departed"] <= moment)
    changed_flights.loc[told, ["dep_delay", "departed"]] = [np.nan, pd.NaT]
    changed_weather = weather_of(
        [
            (origin, hour, data.draw(numbers) if observed > moment else value)
            for (origin, hour, value), observed in zip(
                weather_list, weather["time_hour"], strict=True
            )
        ]
    )

    before = asof_of(flights, weather).iloc[asked]
    after = asof_of(changed_flights, changed_weather).iloc[asked]

    pd.testing.assert_series_equal(before, after, check_exact=True)
    assert np.isfinite(before.to_numpy()).all()


def _unknown_at(departed: pd.Timestamp, moment: pd.Timestamp) -> bool:
    return pd.isna(departed) or departed > moment


def test_a_departure_counts_from_the_minute_it_happens_and_not_before() -> None:
    """The other direction: the features do use what is known, so the property is not empty."""
    weather = weather_of([("EWR", 0, 50.0)])
    asked = ("EWR", 5, 0, 0)  # its moment is at 4:00
    for delay, expected in ((0, 0.0), (59, 59.0), (60, 60.0), (61, 0.0)):
        flights = flights_of([("EWR", 3, 0, delay), asked])  # leaves at 3:00 plus its delay
        seen = asof_of(flights, weather).iloc[1]
        assert seen["origin_delay_2h"] == expected, delay
        assert seen["origin_departures_2h"] == (0 if delay == 61 else 1)


def test_weather_is_the_last_observation_at_or_before_the_moment_and_gaps_keep_it() -> None:
    flights = flights_of([("EWR", 4, 0, 0), ("EWR", 4, 59, 0), ("JFK", 4, 0, 0)])
    weather = weather_of([("EWR", 2, 40.0), ("EWR", 3, None), ("EWR", 4, 99.0)])
    table = asof_of(flights, weather)
    assert pd.Timedelta(hours=1) == LEAD
    assert table["temperature"].tolist()[:2] == [40.0, 40.0]
    assert table["temperature"].iloc[2] == 55.0  # nothing was ever observed at JFK
    assert list(table.columns) == list(ASOF)


BEFORE_THE_FIRST = {
    **dict(WEATHER.values()),
    "origin_delay_1h": 0.0,
    "origin_delay_2h": 0.0,
    "origin_departures_2h": 0.0,
    "origin_delay_log": float(np.log1p(15.0)),
}


def joined(flights: pd.DataFrame, table: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    asked = flights[["origin", "moment"]].reset_index().sort_values("moment", kind="stable")
    table = table.assign(**{MOMENT: table[MOMENT].dt.as_unit("us")})
    found = pd.merge_asof(asked, table, left_on="moment", right_on=MOMENT, by="origin")
    found = found.set_index(flights.index.name).loc[flights.index]
    return found[names].fillna({n: BEFORE_THE_FIRST[n] for n in names}).astype("float32")


@settings(max_examples=60, deadline=None)
@given(flight_rows, weather_rows)
def test_a_join_with_the_tables_is_what_is_learnt_from(
    flight_list: list[tuple[str, int, int, int | None]],
    weather_list: list[tuple[str, int, float | None]],
) -> None:
    flights, observations = flights_of(flight_list), weather_of(weather_list)
    learnt = asof_of(flights, observations)
    names = [name for name, _ in WEATHER.values()]

    for table, columns in ((weather(observations), names), (delays(flights), list(DELAY))):
        found = joined(flights, table, columns)
        pd.testing.assert_frame_equal(found, learnt[columns], check_exact=True)
