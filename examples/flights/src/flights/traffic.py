"""September onward as live requests: one for each flight, an hour before it should leave.

A replay of half a minute would otherwise show the first days of September only, and each
release other days. So the flights go out in `PASSES`: every hundredth one from September to
December in the order of their moments, then the next hundredth, and so on. At 200 requests a
second a pass takes six seconds, and every release is asked about all four months.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from flights.features import ASOF, LEAD, SCHEDULE, asof_of, read_flights, read_weather, schedule_of
from flights.train import LAST_TRAINING_MONTH, label
from triune.app.replay import Request

# From touching down or leaving the gate nothing is recorded in UTC: on the ground, before
# and after the air time, a flight spends about half an hour.
GROUND = pd.Timedelta(minutes=30)
PASSES = 100
AT_ONCE = 5_000


def requests(data: Path) -> Iterator[Request]:
    """Requests, pass by pass in the order of their moments; the unit is the tail number.

    Flights without a tail number (all cancelled) are left out: they have no unit. A
    cancelled or diverted flight is asked for like any other, and has no outcome.
    """
    flights = read_flights(data)
    inputs = pd.concat([schedule_of(flights), asof_of(flights, read_weather(data))], axis="columns")
    served = (flights["month"] > LAST_TRAINING_MONTH) & flights["tailnum"].notna()
    order = _in_passes(flights[served].sort_values("moment", kind="stable").index)
    flights, inputs = flights.loc[order], inputs.loc[order, [*SCHEDULE, *ASOF]]
    arrived = flights["departed"] + pd.to_timedelta(flights["air_time"], unit="m") + GROUND
    asked = flights[["tailnum", "moment"]].assign(
        late=label(flights), known_after=(arrived - flights["moment"]).dt.total_seconds()
    )
    for begin in range(0, len(asked), AT_ONCE):
        part = slice(begin, begin + AT_ONCE)
        yield from _requests(asked.iloc[part], inputs.iloc[part])


def _requests(asked: pd.DataFrame, inputs: pd.DataFrame) -> Iterator[Request]:
    names = list(inputs.columns)
    rows = zip(*(inputs[name].tolist() for name in names), strict=True)
    columns = (asked[name].tolist() for name in ("tailnum", "moment", "late", "known_after"))
    for unit, moment, late, known_after, row in zip(*columns, rows, strict=True):
        arrives = not np.isnan(late)
        yield Request(
            unit=unit,
            at=moment.to_pydatetime(),
            inputs={name: [value] for name, value in zip(names, row, strict=True)},
            outcome=late if arrives else None,
            outcome_delay_s=known_after if arrives else LEAD.total_seconds(),
            outcome_name="late",
        )


def _in_passes(keys: pd.Index) -> pd.Index:
    place = np.arange(len(keys))
    return keys[np.lexsort((place, place % PASSES))]
