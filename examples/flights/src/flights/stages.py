"""The stages of `dvc.yaml`: what was known at each origin, at every moment it changed.

    python -m flights.stages weather     # data/weather/weather.parquet
    python -m flights.stages delays      # data/delays/delays.parquet

Each table has one row for each origin and moment: the features of `flights.features` as they stand
from that moment until the next row. A point-in-time join with it therefore gives exactly what
`flights.features.asof` computes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from flights.features import (
    RECENT,
    WEATHER,
    Seconds,
    delay_at,
    observed_weather,
    read_flights,
    read_weather,
    seconds_of,
)

SOURCE = Path("data/nycflights")
PARAMETERS = Path("params.yaml")
MOMENT = "known_at"


def weather(observations: pd.DataFrame) -> pd.DataFrame:
    """The last known value of every quantity at each origin, from each observation on."""
    observed = observed_weather(observations)
    observed = observed.drop_duplicates(["origin", "time_hour"], keep="last")
    names = {column: name for column, (name, _) in WEATHER.items()}
    table = observed.rename(columns={**names, "time_hour": MOMENT})
    return _typed(table[["origin", MOMENT, *names.values()]])


def delays(flights: pd.DataFrame) -> pd.DataFrame:
    """The recent delay at each origin, from each departure and each end of a span on."""
    return _typed(pd.concat([_steps(str(o), group) for o, group in flights.groupby("origin")]))


def _steps(origin: str, flights: pd.DataFrame) -> pd.DataFrame:
    departed = seconds_of(flights["departed"].dropna())
    ends = [departed + int(span.total_seconds()) for span in RECENT]
    moments: Seconds = np.unique(np.concatenate([departed, *ends]))
    table = delay_at(flights, moments)
    table.insert(0, MOMENT, pd.to_datetime(moments, unit="s", utc=True).as_unit("us"))
    table.insert(0, "origin", origin)
    return table


def _typed(table: pd.DataFrame) -> pd.DataFrame:
    numbers = [name for name in table.columns if name not in ("origin", MOMENT)]
    table = table.sort_values([MOMENT, "origin"], kind="stable", ignore_index=True)
    return table.astype(dict.fromkeys(numbers, "float32"))


TABLES: dict[str, Callable[[Path], pd.DataFrame]] = {
    "weather": lambda source: weather(read_weather(source)),
    "delays": lambda source: delays(read_flights(source)),
}


def main() -> None:
    """Run the stage named on the command line, with its parameters of ``params.yaml``."""
    name = sys.argv[1]
    first, last = yaml.safe_load(PARAMETERS.read_text())[name]["months"]
    table = TABLES[name](SOURCE)
    folder = Path("data") / name
    folder.mkdir(parents=True, exist_ok=True)
    kept = table[table[MOMENT].dt.month.between(first, last)]
    kept.to_parquet(folder / f"{name}.parquet", index=False, compression="zstd")


if __name__ == "__main__":
    main()
