"""A training set of 300,000 rows with 3 point-in-time joins, beside Feast's own file store.

    .venv/bin/python bench/training_set.py [--rows 300000] [--known 500000] [--rounds 3] [--json]

Both go through Feast's SDK (`get_historical_features`), with the same definitions, tables and
entity rows; only the offline store differs. Values are compared where Feast's store keeps the
row: it drops entity rows for which nothing is known, and Triune's keeps them.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

os.environ["FEAST_USAGE"] = "False"
VIEWS, FEATURES, DRIVERS, DAYS = 3, 4, 5_000, 60
OURS = "triune.data.features.offline.DuckDBOfflineStore"
BASE = pd.Timestamp("2026-01-01", tz="UTC")


def moments(draw: np.random.Generator, count: int) -> Any:
    return BASE + pd.to_timedelta(draw.integers(0, DAYS * 86_400, count), unit="s")


def tables(folder: Path, rows: int, known: int) -> pd.DataFrame:
    draw = np.random.default_rng(7)
    for v in range(VIEWS):
        frame = pd.DataFrame(
            {"driver": draw.integers(0, DRIVERS, known), "t": moments(draw, known)}
        )
        frame["made"] = frame["t"]
        for f in range(FEATURES):
            frame[f"f{v}_{f}"] = draw.random(known).astype("float32")
        frame.drop_duplicates(["driver", "t"]).to_parquet(folder / f"{v}.parquet")
    entities = pd.DataFrame({"driver": draw.integers(0, DRIVERS, rows), "row": range(rows)})
    entities["event_timestamp"] = moments(draw, rows)
    return entities.drop_duplicates(["driver", "event_timestamp"])


def store(folder: Path, kind: str) -> Any:
    from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig
    from feast.types import Float32
    from feast.value_type import ValueType

    place = folder / kind.rpartition(".")[2]
    place.mkdir()
    config = RepoConfig(
        project="bench", provider="local", registry=str(place / "registry.db"),
        online_store={"type": "sqlite", "path": str(place / "online.db")},
        offline_store={"type": kind}, entity_key_serialization_version=3,
    )  # fmt: skip
    driver = Entity(name="driver", join_keys=["driver"], value_type=ValueType.INT64)
    views = [
        FeatureView(
            name=f"v{v}", entities=[driver], ttl=timedelta(days=7),
            schema=[Field(name=f"f{v}_{f}", dtype=Float32) for f in range(FEATURES)],
            source=FileSource(name=f"s{v}", path=str(folder / f"{v}.parquet"), timestamp_field="t",
                              created_timestamp_column="made"),
        )
        for v in range(VIEWS)
    ]  # fmt: skip
    made = FeatureStore(config=config)
    made.apply([driver, *views])
    return made


def joined(made: Any, entities: pd.DataFrame) -> tuple[float, pd.DataFrame]:
    features = [f"v{v}:f{v}_{f}" for v in range(VIEWS) for f in range(FEATURES)]
    begin = time.perf_counter()
    frame = made.get_historical_features(entity_df=entities, features=features).to_df()
    return time.perf_counter() - begin, frame


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--known", type=int, default=500_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="triune-bench-") as name:
        folder = Path(name)
        entities = tables(folder, asked.rows, asked.known)
        stores = {"triune": store(folder, OURS), "feast": store(folder, "file")}
        took: dict[str, list[float]] = {"triune": [], "feast": []}
        frames = {}
        for number in range(asked.rounds):
            for who, made in stores.items():
                if who == "feast" and number:
                    continue  # once: it takes a minute
                seconds, frames[who] = joined(made, entities)
                took[who].append(seconds)
    both = frames["triune"].merge(frames["feast"], on="row", suffixes=("", "_feast"))
    for v in range(VIEWS):
        for f in range(FEATURES):
            mine, theirs = both[f"f{v}_{f}"], both[f"f{v}_{f}_feast"]
            if not ((mine == theirs) | (mine.isna() & theirs.isna())).all():
                raise SystemExit(f"f{v}_{f} differs")
    found = {who: statistics.median(values) for who, values in took.items()}
    kept = {who: len(frame) for who, frame in frames.items()}
    if asked.json:
        print(json.dumps({"seconds": found, "rows": kept}))
        return 0
    ours, theirs = found["triune"], found["feast"]
    print(
        f"{len(entities)} rows, {VIEWS} joins: triune {ours:.2f} s, Feast's file store {theirs:.2f}"
    )
    print(
        f"{theirs / ours:.0f}x; equal where both have the row ({kept['feast']} of {kept['triune']})"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
