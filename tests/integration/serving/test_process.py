"""The real server: granian, workers, signals, signatures."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.support.models import make, model_file, shelf_of
from tests.support.ports import free_port
from tests.support.serving import Server, column_body, launch, running, spec_for, stop
from triune.core.errors import ExitCode
from triune.core.waiting import wait_until
from triune.models.registry import signing

pytestmark = pytest.mark.engine

ABC = column_body(a=[0.5], b=[0.25], c=[-1.0])


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shelf_of(tmp_path_factory)


@pytest.fixture
def start(tmp_path: Path, shelf: Path) -> Iterator[Callable[..., Server]]:
    """Starts servers of a kind of model; all are gone after the test."""
    contexts: list[Any] = []

    def start(kind: str = "columns", *, onnx: bool = True, **changes: Any) -> Server:
        scratch = tmp_path / "scratch"
        folder = make(kind, shelf, onnx=onnx)
        spec = spec_for(folder, free_port(), scratch=scratch, **changes)
        context = running(spec, tmp_path)
        contexts.append(context)
        return context.__enter__()

    yield start
    for context in reversed(contexts):
        context.__exit__(None, None, None)


def infer(server: Server, body: Any = ABC, **options: Any) -> httpx.Response:
    return httpx.post(server.infer_url, json=body, timeout=20, **options)


def test_it_serves_without_scikit_learn_or_mlflow(start: Callable[..., Server]) -> None:
    server = start()
    reply = infer(server)
    assert reply.status_code == 200
    assert reply.headers["x-triune-release"] == server.spec.release
    assert reply.headers["x-triune-arm"] == "stable"
    assert reply.headers["x-triune-prediction"] == reply.json()["id"]
    assert [output["name"] for output in reply.json()["outputs"]] == ["label", "score"]
    for process in (*server.workers(), psutil.Process(server.process.pid)):
        mapped = " ".join(item.path for item in process.memory_maps())
        assert "/sklearn/" not in mapped
        assert "/pandas/" not in mapped
    invocation = {"dataframe_split": {"columns": ["a", "b", "c"], "data": [[0.5, 0.25, -1.0]]}}
    same = httpx.post(f"{server.url}/invocations", json=invocation).json()
    assert same == {"predictions": reply.json()["outputs"][0]["data"]}


@pytest.mark.parametrize("kind", ["histogram", "double"])
def test_models_without_an_onnx_form(start: Callable[..., Server], kind: str) -> None:
    server = start(kind)
    form = "sklearn" if kind == "histogram" else "pyfunc"
    platform = httpx.get(f"{server.url}/v2/models/tiny-model").json()["platform"]
    assert platform == f"triune-{form}"
    body = ABC if kind == "histogram" else column_body(x=[1.0, 2.5])
    reply = infer(server, body)
    assert reply.status_code == 200
    if kind == "double":
        assert reply.json()["outputs"][0]["data"] == [2.0, 5.0]


def test_counters_of_two_workers_add_up(start: Callable[..., Server]) -> None:
    server = start(workers=2)
    wait_until(lambda: server.log.read_text().count("serving model") == 2, timeout=30, what="both")
    for _ in range(60):  # a connection each, so that the kernel spreads them
        assert infer(server).status_code == 200
    for _ in range(10):
        assert infer(server, {}).status_code == 400
    assert server.metric('triune_serving_requests_total{endpoint="tiny/model"') == 70
    assert server.metric("triune_serving_latency_seconds_count") == 70
    assert server.metric("triune_serving_rows_total") == 60
    assert server.metric("triune_serving_in_flight") == 0
    assert len([w for w in server.workers() if w.is_running()]) == 2


def test_a_killed_worker_is_replaced_and_counters_go_on(
    start: Callable[..., Server], shelf: Path
) -> None:
    server = start()
    before = infer(server).json()["outputs"]
    (worker,) = server.workers()
    worker.kill()
    wait_until(
        lambda: [w.pid for w in server.workers()] not in ([], [worker.pid]) and server.is_ready(),
        timeout=30,
        what="a new worker",
    )
    assert infer(server).json()["outputs"] == before
    assert server.metric("triune_serving_rows_total") == 2


def test_a_killed_parent_takes_its_workers_along_and_a_restart_clears(
    start: Callable[..., Server], tmp_path: Path
) -> None:
    server = start()
    workers = server.workers()
    server.process.kill()
    server.process.wait()
    assert psutil.wait_procs(workers, timeout=10)[1] == []
    left = list((tmp_path / "scratch").iterdir())
    assert len(left) == 1
    with running(server.spec, tmp_path) as again:
        assert infer(again).status_code == 200
        assert left[0] not in (tmp_path / "scratch").iterdir()


def test_sigterm_leaves_nothing_behind(start: Callable[..., Server], tmp_path: Path) -> None:
    server = start(workers=2)
    workers = server.workers()
    server.process.terminate()
    assert server.process.wait(15) == 0
    assert psutil.wait_procs(workers, timeout=5)[1] == []
    assert list((tmp_path / "scratch").iterdir()) == []


class Load(threading.Thread):
    """A client that asks without pause and notes what becomes of each request."""

    def __init__(self, server: Server, halt: threading.Event) -> None:
        super().__init__()
        self.server, self.halt = server, halt
        self.outcomes: Counter[str] = Counter()

    def run(self) -> None:
        with httpx.Client(timeout=20) as client:
            while not self.halt.is_set():
                try:
                    reply = client.post(self.server.infer_url, json=ABC)
                    self.outcomes[str(reply.status_code)] += 1
                except httpx.ConnectError:
                    self.outcomes["not accepted"] += 1
                    return
                except httpx.HTTPError as error:
                    self.outcomes[f"lost: {error!r}"] += 1


def test_draining_under_load_loses_no_request(start: Callable[..., Server]) -> None:
    server = start(workers=2)
    halt = threading.Event()
    clients = [Load(server, halt) for _ in range(8)]
    for client in clients:
        client.start()
    wait_until(
        lambda: all(client.outcomes["200"] > 20 for client in clients), timeout=30, what="load"
    )
    server.process.terminate()
    code = server.process.wait(20)
    halt.set()
    for client in clients:
        client.join()
    outcomes = sum((client.outcomes for client in clients), Counter[str]())
    assert code == 0
    assert set(outcomes) <= {"200", "not accepted"}, outcomes


def test_a_request_in_flight_is_finished_before_the_end(start: Callable[..., Server]) -> None:
    server = start("sleepy", deadline_ms=30_000.0)
    replies: list[httpx.Response] = []
    body = column_body(x=[1.5])
    thread = threading.Thread(target=lambda: replies.append(infer(server, body)))
    thread.start()
    wait_until(lambda: _in_flight(server), timeout=10, what="the request in flight")
    server.process.terminate()
    thread.join()
    assert [reply.status_code for reply in replies] == [200]
    assert server.process.wait(15) == 0


def _in_flight(server: Server) -> bool:
    return server.metric("triune_serving_in_flight") > 0


def test_not_ready_while_draining(start: Callable[..., Server]) -> None:
    server = start("sleepy", deadline_ms=30_000.0)
    body = column_body(x=[1.5])
    thread = threading.Thread(target=infer, args=(server, body))
    thread.start()
    wait_until(lambda: _in_flight(server), timeout=10, what="the request in flight")
    os.kill(server.process.pid, signal.SIGTERM)
    wait_until(
        lambda: httpx.get(f"{server.url}/v2/health/ready").status_code == 503,
        timeout=1.4,
        what="not ready",
    )
    assert httpx.get(f"{server.url}/v2/health/live").status_code == 200
    thread.join()


def test_a_hung_model_does_not_hold_up_the_end(start: Callable[..., Server]) -> None:
    server = start("sleepy", deadline_ms=90_000.0, drain_seconds=1.0)
    thread = threading.Thread(target=_ask_in_vain, args=(server,))
    thread.start()
    wait_until(lambda: _in_flight(server), timeout=10, what="the request in flight")
    server.process.terminate()
    assert server.process.wait(10) == 0
    thread.join()


def _ask_in_vain(server: Server) -> None:
    with pytest.raises(httpx.HTTPError):
        infer(server, column_body(x=[60.0]))


def test_late_primary_fallback_answers(start: Callable[..., Server], shelf: Path) -> None:
    fallback = model_file(make("x", shelf), "model:reflex@1")
    server = start("sleepy", fallback=fallback, deadline_ms=150.0)
    late = infer(server, column_body(x=[1.0]))
    assert late.status_code == 200
    assert late.headers["x-triune-degraded"] == "deadline"
    assert late.elapsed.total_seconds() < 0.9
    wait_until(
        lambda: "x-triune-degraded" not in infer(server, column_body(x=[-0.5])).headers,
        timeout=10,
        what="the primary back",
    )
    broken = infer(server, column_body(x=[-1.0]))
    assert broken.headers["x-triune-degraded"] == "error"
    assert "told to fail" in server.log.read_text()
    assert server.metric("triune_serving_degraded_total") >= 2


def test_oversized_bodies_on_the_wire(start: Callable[..., Server]) -> None:
    server = start(max_body_bytes=2000)
    assert infer(server, {"id": "x" * 3000}).status_code == 413
    pieces = (b" " * 500 for _ in range(10))
    headers = {"content-type": "application/json"}
    reply = httpx.post(server.infer_url, content=pieces, headers=headers)
    assert (reply.status_code, reply.json()["error"]) == (413, "body-too-large")
    assert infer(server).status_code == 200


def test_a_caller_who_leaves_is_no_failure_of_ours(start: Callable[..., Server]) -> None:
    server = start()
    for head in ("content-length: 500", "transfer-encoding: chunked"):
        with socket.create_connection(("127.0.0.1", server.spec.port)) as caller:
            path = httpx.URL(server.infer_url).path
            caller.sendall(f"POST {path} HTTP/1.1\r\nhost: x\r\n{head}\r\n\r\n5\r\n".encode())
            wait_until(lambda: _in_flight(server), timeout=10, what="the request in flight")
        wait_until(lambda: not _in_flight(server), timeout=10, what="the request given up")
    requests = 'triune_serving_requests_total{endpoint="tiny/model",arm="stable",code='
    assert server.metric(f'{requests}"400"') == 2
    assert server.metric(f'{requests}"500"') == 0
    assert "Traceback" not in server.log.read_text()


def signed_copy(folder: Path, into: Path, shelf: Path, *, sign: bool = True) -> Path:
    shutil.copytree(folder, into, ignore=shutil.ignore_patterns("model.sig"))
    if sign:
        signing.sign(into, shelf / "keys" / signing.PRIVATE)
    return into


def refused(folder: Path, shelf: Path, tmp_path: Path, digest: str = "") -> tuple[int, str]:
    """Exit code and log of a server that must not start."""
    spec = spec_for(make("columns", shelf), free_port(), scratch=tmp_path / "scratch")
    model = replace(spec.model, path=folder, digest=digest or spec.model.digest)
    server = launch(replace(spec, model=model), tmp_path)
    try:
        code = server.process.wait(60)
    finally:
        stop(server)
    assert list((tmp_path / "scratch").iterdir()) == []
    return code, server.log.read_text()


def test_an_unsigned_model_is_never_loaded(shelf: Path, tmp_path: Path) -> None:
    folder = signed_copy(make("columns", shelf), tmp_path / "m", shelf, sign=False)
    code, log = refused(folder, shelf, tmp_path)
    assert code == ExitCode.REFUSED
    assert "error[model-unsigned]" in log


@pytest.mark.parametrize("file", ["onnx/model.onnx", "mlflow/MLmodel", "extra.py"])
def test_a_tampered_model_is_never_loaded(shelf: Path, tmp_path: Path, file: str) -> None:
    folder = signed_copy(make("columns", shelf), tmp_path / "m", shelf)
    with (folder / file).open("ab") as changed:
        changed.write(b" ")
    code, log = refused(folder, shelf, tmp_path)
    assert code == ExitCode.REFUSED
    assert "error[model-tampered]" in log
    assert "serving model" not in log


def test_another_signed_model_than_the_released_one_is_refused(shelf: Path, tmp_path: Path) -> None:
    code, log = refused(make("tensor", shelf), shelf, tmp_path)
    assert code == ExitCode.REFUSED
    assert "error[model-tampered]" in log


def test_a_signed_model_that_cannot_be_loaded_ends_the_server(shelf: Path, tmp_path: Path) -> None:
    folder = signed_copy(make("columns", shelf), tmp_path / "m", shelf, sign=False)
    (folder / "onnx" / "model.onnx").write_bytes(b"no graph")
    signing.sign(folder, shelf / "keys" / signing.PRIVATE)
    code, log = refused(folder, shelf, tmp_path, digest=model_file(folder).digest)
    assert code == ExitCode.REFUSED
    assert "error[model-not-loadable]" in log


def test_what_was_checked_is_what_a_new_worker_loads(
    start: Callable[..., Server], shelf: Path, tmp_path: Path
) -> None:
    folder = signed_copy(make("columns", shelf), tmp_path / "m", shelf)
    server = start(model=replace(model_file(folder), public_key=shelf / "keys" / signing.PUBLIC))
    before = infer(server).json()["outputs"]
    shutil.copy(make("x", shelf) / "onnx" / "model.onnx", folder / "onnx" / "model.onnx")
    (worker,) = server.workers()
    worker.kill()
    wait_until(
        lambda: [w.pid for w in server.workers()] not in ([], [worker.pid]) and server.is_ready(),
        timeout=30,
        what="a new worker",
    )
    assert infer(server).json()["outputs"] == before


def test_a_snapshot_that_changed_is_not_loaded(
    start: Callable[..., Server], tmp_path: Path
) -> None:
    server = start()
    (graph,) = (tmp_path / "scratch").rglob("model.onnx")
    graph.write_bytes(graph.read_bytes() + b" ")
    (worker,) = server.workers()
    worker.kill()
    assert server.process.wait(30) == ExitCode.REFUSED
    assert "error[model-tampered]" in server.log.read_text()


def test_a_taken_port_is_told(shelf: Path, tmp_path: Path) -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        server = launch(spec_for(make("columns", shelf), other.getsockname()[1]), tmp_path)
        try:
            assert server.process.wait(60) == ExitCode.CONFLICT
        finally:
            stop(server)
    assert "error[port-taken]" in server.log.read_text()


def test_a_release_that_the_endpoint_cannot_feed_is_refused(shelf: Path, tmp_path: Path) -> None:
    from triune.core.config import Datatype
    from triune.models.serving.tensors import TensorSpec

    spec = spec_for(make("columns", shelf), free_port(), inputs=(TensorSpec("a", Datatype.FP64),))
    server = launch(spec, tmp_path)
    try:
        assert server.process.wait(60) == ExitCode.REFUSED
    finally:
        stop(server)
    assert "error[model-does-not-fit]" in server.log.read_text()
    assert "'b'" in server.log.read_text()
