"""How fast tracking is, beside MLflow on the same machine in one run.

python bench/tracking.py [--json] [--runs 10000] [--seconds 5] [--no-server]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from triune.core.ids import new_id
from triune.core.waiting import wait_until
from triune.core.workspace import Workspace
from triune.ledger.runs import IndexedRun
from triune.ledger.service import Ledger
from triune.models.tracking import filters, start
from triune.models.tracking.catalog import RunCatalog

MLFLOW_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
CALLS = 200_000
METRICS = ("auc", "loss", "accuracy", "latency")


def log_calls(folder: Path) -> dict[str, float]:
    """`run.log` of one metric: microseconds a call, and calls per second."""
    workspace = Workspace(folder)
    took = []
    with start("bench", workspace=workspace) as run:
        for step in range(1000):
            run.log(step=step, loss=0.5)
        begin = time.perf_counter()
        for step in range(CALLS):
            run.log(step=step, loss=0.5)
        rate = CALLS / (time.perf_counter() - begin)
        for step in range(CALLS):
            before = time.perf_counter_ns()
            run.log(step=step, loss=0.5)
            took.append(time.perf_counter_ns() - before)
    took.sort()
    return {
        "log_p50_us": took[CALLS // 2] / 1e3,
        "log_p99_us": took[CALLS * 99 // 100] / 1e3,
        "log_per_second": rate,
    }


def mlflow_rate(uri: str, seconds: float) -> float:
    """`mlflow.log_metric` calls per second against a tracking URI."""
    import mlflow

    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment("bench")
    with mlflow.start_run():
        for step in range(3):
            mlflow.log_metric("loss", 0.5, step=step)
        begin, count = time.perf_counter(), 0
        while time.perf_counter() - begin < seconds:
            mlflow.log_metric("loss", 0.5, step=count + 3)
            count += 1
        return count / (time.perf_counter() - begin)


@contextmanager
def mlflow_server(folder: Path) -> Iterator[str]:
    """A real tracking server on SQLite, on a free port; its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", f"sqlite:///{folder / 'server.db'}", "--workers", "1"]
    command += ["--artifacts-destination", str(folder / "files")]
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        wait_until(lambda: _answers(f"{url}/health"), timeout=120, what="mlflow server")
        yield url
    finally:
        server.terminate()
        server.wait(30)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def indexed(count: int) -> list[IndexedRun]:
    draw = random.Random(1)
    return [
        IndexedRun(
            id=new_id(),
            name=f"sweep-{number % 50}",
            status="finished",
            started=number,
            finished=number + 1,
            metrics={name: draw.random() for name in METRICS},
            params={"depth": str(number % 9), "rate": str(draw.random())},
        )
        for number in range(count)
    ]


def median_ms(work: Callable[[], object], times: int = 7) -> float:
    work()
    took = []
    for _ in range(times):
        begin = time.perf_counter()
        work()
        took.append(time.perf_counter() - begin)
    return sorted(took)[times // 2] * 1e3


def queries(folder: Path, runs: list[IndexedRun]) -> dict[str, float]:
    """Sorting and filtering runs by a metric: the use case, and the command as a whole."""
    workspace = Workspace(folder)
    ledger = Ledger.open(f"sqlite:///{workspace.ledger_path}", workspace.journal, workspace="bench")
    ledger.runs.put(*runs)
    catalog, order = RunCatalog(workspace, ledger), filters.order("auc")
    found = {
        "query_top_100_ms": median_ms(lambda: catalog.search(order=order)),
        "query_filtered_ms": median_ms(
            lambda: catalog.search(
                [filters.condition("loss<0.1"), filters.condition("params.depth=3")], order=order
            )
        ),
        "query_all_ms": median_ms(lambda: catalog.search(order=order, limit=None), 3),
    }
    ledger.close()
    command = [sys.executable, "-m", "triune.cli.main", "runs", "--sort", "auc"]
    found["command_ms"] = median_ms(
        lambda: subprocess.run(command, cwd=folder, check=True, capture_output=True), 3
    )
    return found


def fill_mlflow(database: Path, runs: list[IndexedRun]) -> None:
    """The same runs in MLflow's own tables, copied from one it made itself."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{database}")
    made = client.create_run(client.create_experiment("filled"), run_name="template")
    with sqlite3.connect(database) as connection:
        cursor = connection.execute("SELECT * FROM runs WHERE run_uuid = ?", (made.info.run_id,))
        columns = [column[0] for column in cursor.description]
        template = dict(zip(columns, cursor.fetchone(), strict=True))
        ids = [run.id.replace("-", "") for run in runs]
        rows = [
            tuple((template | {"run_uuid": i, "name": r.name, "start_time": r.started}).values())
            for i, r in zip(ids, runs, strict=True)
        ]
        marks = ", ".join("?" * len(columns))
        connection.executemany(f"INSERT INTO runs VALUES ({marks})", rows)
        points = [
            (n, v, 1, 0, 0, i) for i, r in zip(ids, runs, strict=True) for n, v in r.metrics.items()
        ]
        for table in ("metrics", "latest_metrics"):
            connection.executemany(
                f"INSERT INTO {table} (key, value, timestamp, step, is_nan, run_uuid)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                points,
            )
        params = [(n, v, i) for i, r in zip(ids, runs, strict=True) for n, v in r.params.items()]
        connection.executemany("INSERT INTO params (key, value, run_uuid) VALUES (?, ?, ?)", params)
    connection.close()


def mlflow_queries(folder: Path, runs: list[IndexedRun]) -> dict[str, float]:
    """`mlflow.search_runs`, ordered by the same metric, before and after ANALYZE."""
    import mlflow

    database = folder / "filled.db"
    fill_mlflow(database, runs)
    mlflow.set_tracking_uri(f"sqlite:///{database}")

    def search(most: int) -> object:
        return mlflow.search_runs(
            experiment_names=["filled"], order_by=["metrics.auc DESC"], max_results=most
        )

    begin = time.perf_counter()
    search(100)
    first = (time.perf_counter() - begin) * 1e3
    with sqlite3.connect(database) as connection:
        connection.execute("ANALYZE")
    connection.close()
    begin = time.perf_counter()
    search(len(runs))
    everything = (time.perf_counter() - begin) * 1e3
    return {
        "mlflow_top_100_ms": first,
        "mlflow_top_100_analyzed_ms": median_ms(lambda: search(100), 3),
        "mlflow_all_ms": everything,
    }


def measure(folder: Path, *, runs: int, seconds: float, server: bool) -> dict[str, float]:
    (folder / "triune.toml").write_text('[workspace]\nname = "bench"\n')
    figures = log_calls(folder)
    figures["mlflow_sqlite_per_second"] = mlflow_rate(f"sqlite:///{folder / 'own.db'}", seconds)
    if server:
        with mlflow_server(folder) as url:
            figures["mlflow_server_per_second"] = mlflow_rate(url, seconds)
        figures["ratio_to_server"] = figures["log_per_second"] / figures["mlflow_server_per_second"]
    figures["ratio_to_sqlite"] = figures["log_per_second"] / figures["mlflow_sqlite_per_second"]
    many = indexed(runs)
    figures |= queries(folder, many)
    figures |= mlflow_queries(folder, many)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--no-server", action="store_true")
    options = parser.parse_args()
    os.environ.update(MLFLOW_SETTINGS)
    folder = Path(tempfile.mkdtemp(prefix="triune-bench-"))
    try:
        figures: dict[str, Any] = measure(
            folder, runs=options.runs, seconds=options.seconds, server=not options.no_server
        )
    finally:
        shutil.rmtree(folder)
    if options.json:
        print(json.dumps(figures, indent=2))
        return
    for name, value in figures.items():
        print(f"{name:32} {value:14,.1f}")


if __name__ == "__main__":
    main()
