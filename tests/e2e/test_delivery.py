"""Delivery with everything real: supervisor, registry, model server, Envoy, both daemons."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.tiny_workspace import commit_all, tiny_workspace
from triune.core.waiting import wait_until
from triune.delivery.client import Answer, HttpClient

pytestmark = [pytest.mark.engine, pytest.mark.slow]

MORE = """
[endpoints."points/side"]
model = "points"
smoke_latency_ms = 1000.0
health_interval_ms = 100.0

[services.prometheus]
enabled = false
[services.alertmanager]
enabled = false
[services.tracker]
enabled = false
"""


@dataclass(frozen=True)
class Shell:
    """A workspace as its user has it: the command line and nothing else."""

    root: Path

    def run(self, *arguments: str) -> Any:
        done = subprocess.run(
            [sys.executable, "-m", "triune.cli.main", *arguments, "--json"],
            cwd=self.root,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return json.loads(done.stdout) if done.stdout.strip() else None

    def ask(self) -> Answer:
        (endpoint,) = self.run("status")["endpoints"]
        address, _, path = str(endpoint["url"]).removeprefix("http://").partition("/")
        host, _, port = address.partition(":")
        columns = ("a", "b", "sum", "product")
        inputs = [{"name": n, "datatype": "FP64", "shape": [1], "data": [0.4]} for n in columns]
        headers = {"content-type": "application/json", "x-triune-unit": "unit-1"}
        with HttpClient(host, int(port), timeout=10) as client:
            return client.request(
                "POST", f"/{path}", json.dumps({"inputs": inputs}).encode(), headers
            )

    def pid(self, name: str) -> int | None:
        for service in self.run("status")["services"]:
            if service["process"]["name"] == name:
                return service["process"]["pid"]
        return None


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    workspace = tiny_workspace(tmp_path / "points")
    config = workspace.root / "triune.toml"
    config.write_text(config.read_text() + MORE)
    commit_all(workspace.root, "an endpoint")
    shell = Shell(workspace.root)
    try:
        shell.run("up")
        yield shell
    finally:
        subprocess.run(
            [sys.executable, "-m", "triune.cli.main", "down"], cwd=shell.root, check=False
        )


def release(shell: Shell, strength: float) -> str:
    version = shell.run("train", "fit", "-p", f"regularisation={strength}")["version"]
    model = f"{version['name']}@{version['number']}"
    return str(shell.run("release", "create", "points/side", "--model", model)["release"])


def test_from_training_to_a_rollback_by_itself(shell: Shell) -> None:
    shell.run("data", "add", "points")
    first, second = release(shell, 1.0), release(shell, 0.5)
    shell.run("rollout", "start", "points/side", first)
    shell.run("rollout", "start", "points/side", second)
    answer = shell.ask()
    assert (answer.status, answer.headers["x-triune-release"]) == (200, second)

    prediction = answer.headers["x-triune-prediction"]

    def known() -> bool:
        return any(
            e["id"] == prediction for e in shell.run("events", "--kind", "prediction.served")
        )

    wait_until(known, timeout=20, what="the prediction is in the ledger")
    lineage = shell.run("lineage", prediction)
    assert lineage["complete"], lineage["gaps"]

    # Dead for good: the supervisor may start it again, so that it dies again and again.
    def back() -> bool:
        pid = shell.pid("arm-points-side-green")
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
        return bool(shell.run("events", "--kind", "rollout.rolled-back"))

    wait_until(back, timeout=30, what="the guard goes back", longest_pause=0.05)
    (event,) = shell.run("events", "--kind", "rollout.rolled-back")
    assert (event["subject"], event["payload"]["to"]) == (second, first)
    assert event["payload"]["seconds"] < 2.0
    assert shell.ask().headers["x-triune-release"] == first


def test_a_canary_by_the_command_line_alone(shell: Shell) -> None:
    shell.run("data", "add", "points")
    first, second = release(shell, 1.0), release(shell, 0.5)
    shell.run("rollout", "start", "points/side", first)
    plan = shell.run("rollout", "plan", "points/side", "--strategy", "canary")
    assert plan["strategy"] == "canary"
    assert any("without traffic no verdict" in words for words in plan["warnings"])
    shell.run("rollout", "start", "points/side", second, "--strategy", "canary")

    def canary() -> bool:
        (now,) = shell.run("rollout", "status", "points/side")
        return now["rollout"]["phase"] == "canary" and now["rollout"]["weight"] == 1.0

    wait_until(canary, timeout=60, what="one per cent of the units reach the candidate")
    shell.run("rollout", "pause", "points/side", "--reason", "lunch")
    (paused,) = shell.run("rollout", "status", "points/side")
    assert paused["rollout"]["paused"]["reason"] == "lunch"
    shell.run("rollout", "abort", "points/side", "--reason", "enough")
    assert shell.ask().headers["x-triune-release"] == first
    explained = shell.run("rollout", "explain", "points/side")
    assert "was rolled back from points/side: enough" in json.dumps(explained)
    (latest, *_) = shell.run("rollout", "history", "points/side")
    assert (latest["release"], latest["outcome"]) == (second, "rolled-back")
