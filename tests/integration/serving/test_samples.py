"""Answers kept for comparison by real servers: two workers, a full file and disk, a restart."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.models import make, shelf_of
from tests.support.ports import free_port
from tests.support.serving import Server, column_body, running, spec_for
from triune.core.ids import new_id
from triune.core.waiting import wait_until

pytestmark = pytest.mark.engine

ABC = column_body(a=[0.5], b=[0.25], c=[-1.0])


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shelf_of(tmp_path_factory)


@pytest.fixture
def start(tmp_path: Path, shelf: Path) -> Iterator[Callable[..., Server]]:
    """Starts servers that keep samples; all are gone after the test."""
    contexts: list[Any] = []

    def start(kind: str = "columns", **changes: Any) -> Server:
        spec = spec_for(make(kind, shelf), free_port(), scratch=tmp_path / "scratch")
        context = running(replace(spec, **({"samples": tmp_path / "samples"} | changes)), tmp_path)
        contexts.append(context)
        return context.__enter__()

    yield start
    for context in reversed(contexts):
        context.__exit__(None, None, None)


def ask(server: Server, request: str | None = None, body: Any = ABC) -> httpx.Response:
    """A request over a connection of its own, so that the kernel spreads them over workers."""
    headers = {} if request is None else {"x-triune-shadow": "1", "x-request-id": request}
    return httpx.post(server.infer_url, json=body, headers=headers, timeout=20)


def kept(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]


def wait_for_samples(path: Path, count: int) -> list[dict[str, Any]]:
    wait_until(lambda: len(kept(path)) >= count, timeout=20, what=f"{count} samples")
    return kept(path)


def dropped(server: Server, reason: str) -> float:
    """The counter of samples that were not kept."""
    who = 'endpoint="tiny/model",arm="stable"'
    return server.metric(f'triune_serving_samples_dropped_total{{{who},reason="{reason}"}}')


def both_workers(server: Server) -> None:
    wait_until(lambda: server.log.read_text().count("serving model") == 2, timeout=30, what="both")


def test_every_answer_says_which_worker_gave_it(start: Callable[..., Server]) -> None:
    server = start(workers=2, samples=None)
    both_workers(server)
    wait_until(
        lambda: {ask(server).headers["x-triune-instance"] for _ in range(20)} == {"0", "1"},
        timeout=20,
        what="an answer of each worker",
    )
    for path in ("/v2/health/ready", "/metrics", "/nowhere"):
        assert httpx.get(server.url + path).headers["x-triune-instance"] in ("0", "1")
    assert ask(server, body={}).headers["x-triune-instance"] in ("0", "1")


def test_a_worker_that_replaces_a_dead_one_has_its_number(start: Callable[..., Server]) -> None:
    server = start(samples=None)
    (worker,) = server.workers()
    worker.kill()
    wait_until(
        lambda: [w.pid for w in server.workers()] not in ([], [worker.pid]) and server.is_ready(),
        timeout=30,
        what="a new worker",
    )
    assert ask(server).headers["x-triune-instance"] == "0"


def test_two_workers_keep_every_marked_answer_once(
    start: Callable[..., Server], tmp_path: Path
) -> None:
    server = start(workers=2)
    both_workers(server)
    asked: dict[str, Any] = {}
    for number in range(60):
        request = new_id()
        reply = ask(server, request)
        asked[request] = reply.json()["outputs"], reply.headers["x-triune-instance"]
        if number % 3 == 0:
            ask(server)
    lines = wait_for_samples(tmp_path / "samples", 60)
    assert {line["r"] for line in lines} == asked.keys()
    for line in lines:
        (label, score), instance = asked[line["r"]]
        assert (line["l"], line["p"]) == ([str(label["data"][0])], score["data"])
        assert (line["s"], str(line.get("i", 0))) == (200, instance)
    assert {line.get("i", 0) for line in lines} == {0, 1}
    assert server.metric("triune_serving_samples_total") == 60
    assert server.metric("triune_serving_samples_dropped_total") == 0


@pytest.mark.parametrize(
    ("kind", "body", "keys"),
    [
        ("forest", ABC, {"l", "p", "w"}),
        ("regressor", ABC, {"y"}),
        ("double", column_body(x=[1.5]), {"y"}),
    ],
)
def test_other_kinds_of_models(
    start: Callable[..., Server], tmp_path: Path, kind: str, body: Any, keys: set[str]
) -> None:
    server = start(kind)
    assert ask(server, "one", body).status_code == 200
    assert ask(server, "two", {}).status_code == 400
    one, two = wait_for_samples(tmp_path / "samples", 2)
    assert one.keys() & {"l", "p", "y", "w"} == keys
    assert two.keys() & {"l", "p", "y"} == set()
    assert two["s"] == 400


def test_a_stopping_server_writes_what_it_has(start: Callable[..., Server], tmp_path: Path) -> None:
    server = start(workers=2)
    requests = [new_id() for _ in range(20)]
    for request in requests:
        ask(server, request)
    server.process.terminate()
    assert server.process.wait(15) == 0
    assert sorted(line["r"] for line in kept(tmp_path / "samples")) == sorted(requests)


def test_a_restarted_server_and_a_new_worker_append(
    start: Callable[..., Server], tmp_path: Path
) -> None:
    server = start()
    ask(server, "first")
    wait_for_samples(tmp_path / "samples", 1)
    (worker,) = server.workers()
    worker.kill()
    wait_until(
        lambda: [w.pid for w in server.workers()] not in ([], [worker.pid]) and server.is_ready(),
        timeout=30,
        what="a new worker",
    )
    ask(server, "second")
    wait_for_samples(tmp_path / "samples", 2)
    server.process.terminate()
    assert server.process.wait(15) == 0
    with running(server.spec, tmp_path) as again:
        ask(again, "third")
        lines = wait_for_samples(tmp_path / "samples", 3)
    assert [line["r"] for line in lines] == ["first", "second", "third"]


def test_a_file_taken_away_is_begun_anew(start: Callable[..., Server], tmp_path: Path) -> None:
    server = start()
    path = tmp_path / "samples"
    ask(server, "first")
    wait_for_samples(path, 1)
    path.rename(tmp_path / "taken")
    ask(server, "second")
    assert [line["r"] for line in wait_for_samples(path, 1)] == ["second"]


def test_a_full_file_costs_samples_and_no_answers(
    start: Callable[..., Server], tmp_path: Path
) -> None:
    path = tmp_path / "samples"
    path.touch()
    os.truncate(path, 64 << 20)  # sparse
    server = start()
    assert [ask(server, new_id()).status_code for _ in range(5)] == [200] * 5
    wait_until(lambda: dropped(server, "full") == 5, timeout=20, what="five dropped")
    assert path.stat().st_size == 64 << 20
    os.truncate(path, 0)
    ask(server, "after")
    (line,) = wait_for_samples(path, 1)
    assert (line["r"], line["d"]) == ("after", 5)
    assert server.metric("triune_serving_samples_total") == 1


def test_a_full_disk_costs_samples_and_no_answers(start: Callable[..., Server]) -> None:
    server = start(samples=Path("/dev/full"))
    assert [ask(server, new_id()).status_code for _ in range(5)] == [200] * 5
    wait_until(lambda: dropped(server, "disk") == 5, timeout=20, what="five dropped")
    assert "Traceback" not in server.log.read_text()
