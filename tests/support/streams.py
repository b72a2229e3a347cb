"""A workspace with a stream: events of drivers that become counts and means."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd

from triune.core.workspace import Workspace

TOML = """
[datasets.rides]
path = "data/rides"
[feature_store]
definitions = ["rides_store"]
[streams.rides]
topic = "rides"
view = "recent"
entities = { driver = "driver" }
time = "t"
id = "id"
fields = { id = "integer", driver = "string", t = "timestamp", fare = "float" }
lateness_s = 600
partitions = 2
[streams.rides.features]
count = { aggregation = "count", window_s = 60 }
mean = { aggregation = "mean", field = "fare", window_s = 60 }
most = { aggregation = "max", field = "fare", window_s = 300 }
last = { aggregation = "last", field = "fare" }
"""
DEFINITIONS = """
from feast import Entity, FeatureView, Field, FileSource, PushSource
from feast.types import Float64
from feast.value_type import ValueType

driver = Entity(name="driver", join_keys=["driver"], value_type=ValueType.STRING)
table = FileSource(name="table", path="data/rides/rides.parquet", timestamp_field="t")
recent = FeatureView(
    name="recent", entities=[driver], source=PushSource(name="pushed", batch_source=table),
    schema=[Field(name=n, dtype=Float64) for n in ("count", "mean", "most", "last")],
)
"""
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
FEATURES = ("count", "mean", "most", "last")


def begin(workspace: Workspace) -> None:
    """Code, a table and a commit."""
    root = workspace.root
    (root / "src").mkdir()
    (root / "src" / "rides_store.py").write_text(DEFINITIONS)
    (root / "data" / "rides").mkdir(parents=True)
    frame = {"driver": ["d0"], "t": [EPOCH], **{name: [0.0] for name in FEATURES}}
    pd.DataFrame(frame).to_parquet(root / "data" / "rides" / "rides.parquet")
    for command in (
        ["init", "-q"],
        ["add", "src", "triune.toml"],
        ["-c", "user.email=a@b", "-c", "user.name=n", "commit", "-qm", "begin"],
    ):
        subprocess.run(["git", "-C", str(root), *command], check=True)
    sys.modules.pop("rides_store", None)


def rides(first: int, last: int) -> list[dict[str, Any]]:
    """Events by number: each a third of a second later than the one before, a few out of order."""
    return [
        {
            "id": n,
            "driver": f"d{n * 7 % 5}",
            "t": (EPOCH + timedelta(seconds=n / 3 - (20 if n % 11 == 0 else 0))).isoformat(),
            "fare": (n * 37 % 101) / 7,
        }
        for n in range(first, last)
    ]


def wanted(
    events: Sequence[Mapping[str, Any]], driver: str, moment: datetime
) -> list[float | None]:
    """The features of a driver at a moment, by looking at every event."""
    mine = [
        (datetime.fromisoformat(e["t"]), e["id"], e["fare"])
        for e in events
        if e["driver"] == driver
    ]
    minute = [fare for at, _, fare in mine if moment - timedelta(seconds=60) < at <= moment]
    five = [fare for at, _, fare in mine if moment - timedelta(seconds=300) < at <= moment]
    mean = sum(map(_fraction, minute)) / len(minute) if minute else None
    return [
        float(len(minute)),
        None if mean is None else float(mean),
        max(five, default=None),
        max(mine)[2],
    ]


def _fraction(number: float) -> Any:
    from fractions import Fraction

    return Fraction(number)
