"""A small sample of held-out flights with known ends, kept beside the code for smoke tests.

``python -m flights.golden data/nycflights`` writes it anew.
"""

from __future__ import annotations

import json
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

FILE = Path(__file__).with_name("golden.json")
PER_CLASS = 140


class Golden(NamedTuple):
    """Columns of an endpoint's inputs, and whether each flight was late."""

    inputs: dict[str, list[object]]
    late: list[bool]


@cache
def golden() -> Golden:
    """The sample: as many late flights as flights on time."""
    content = json.loads(FILE.read_text())
    return Golden(content["inputs"], content["late"])


def write(data: Path) -> None:
    """Draw the sample from the days that training holds out."""
    import pandas as pd

    from flights.features import ASOF, SCHEDULE, asof, read_flights, schedule
    from flights.train import FIRST_HELD_OUT_DAY, LAST_TRAINING_MONTH, label

    flights = read_flights(data)
    held_out = (flights["month"] <= LAST_TRAINING_MONTH) & (flights["day"] >= FIRST_HELD_OUT_DAY)
    late = label(flights)[held_out].dropna()
    keys = pd.concat([late[late == end].sample(PER_CLASS, random_state=13) for end in (0.0, 1.0)])
    keys = keys.sort_index()
    inputs = pd.concat([schedule(data), asof(data)], axis="columns").loc[keys.index]
    rows = inputs[[*SCHEDULE, *ASOF]].astype(dict.fromkeys(ASOF, "float64")).round(4)
    content = {"inputs": rows.to_dict(orient="list"), "late": [bool(end) for end in keys]}
    FILE.write_text(json.dumps(content, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
