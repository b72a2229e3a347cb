"""Deadline, fallback, bounded queue; what a failing model looks like from outside."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from tests.support.requests import InProcess, Reply, Sums
from triune.core.config import Datatype
from triune.models.serving.tensors import TensorSpec, Values

X = (TensorSpec("x", Datatype.FP64),)
BODY = {"inputs": [{"name": "x", "shape": [1], "datatype": "FP64", "data": [1.5]}]}


class Primary(Sums):
    """Blocks until released, raises, or gives NaN, as told."""

    def __init__(self, mood: str = "well") -> None:
        super().__init__(X)
        self.mood = mood
        self.gate = threading.Event()
        self.runs = 0

    def predict(self, inputs: Sequence[Values], rows: int) -> list[Values]:
        self.runs += 1
        if self.mood == "slow":
            assert self.gate.wait(20)
        if self.mood == "failing":
            raise ValueError("secret detail")
        if self.mood == "nan":
            return [[0] * rows, [float("nan")] * rows]
        return super().predict(inputs, rows)


class Reflex(Sums):
    """Answers with a hundred."""

    def __init__(self) -> None:
        super().__init__(X)

    def predict(self, inputs: Sequence[Values], rows: int) -> list[Values]:
        return [[9] * rows, [100.0] * rows]


def score(reply: Reply) -> float:
    return float(reply.json()["outputs"][1]["data"][0])


def test_in_time_the_primary_answers() -> None:
    server = InProcess(Primary(), fallback=Reflex(), deadline_ms=5000.0)
    reply = server.ask(body=BODY)
    assert (reply.status, score(reply)) == (200, 1.5)
    assert "x-triune-degraded" not in reply.headers
    assert "parameters" not in reply.json()


@pytest.mark.parametrize("path", ["/v2/models/tiny-model/infer", "/invocations"])
def test_late_the_fallback_answers_and_says_so(path: str) -> None:
    primary = Primary("slow")
    server = InProcess(primary, fallback=Reflex(), deadline_ms=30.0)
    body = BODY if path.endswith("infer") else {"inputs": {"x": [1.5]}}
    reply = server.ask(path=path, body=body)
    primary.gate.set()
    assert reply.status == 200
    assert reply.headers["x-triune-degraded"] == "deadline"
    assert reply.json()["parameters"] == {"degraded": True}
    assert "100" in reply.body.decode() or "[9]" in reply.body.decode()
    assert server.ask("GET", "/metrics").body.count(b'reason="deadline"} 1') == 1


def test_late_without_a_fallback_is_504() -> None:
    primary = Primary("slow")
    reply = InProcess(primary, deadline_ms=30.0).ask(body=BODY)
    primary.gate.set()
    assert (reply.status, reply.json()["error"]) == (504, "deadline-exceeded")


@pytest.mark.parametrize("mood", ["failing", "nan"])
@pytest.mark.parametrize("deadline", [None, 5000.0])
def test_raising_the_fallback_answers(mood: str, deadline: float | None) -> None:
    server = InProcess(Primary(mood), fallback=Reflex(), deadline_ms=deadline)
    reply = server.ask(body=BODY)
    assert (reply.status, score(reply)) == (200, 100.0)
    assert reply.headers["x-triune-degraded"] == "error"


@pytest.mark.parametrize("mood", ["failing", "nan"])
@pytest.mark.parametrize("deadline", [None, 5000.0])
def test_raising_without_a_fallback_is_500_without_details(
    mood: str, deadline: float | None
) -> None:
    reply = InProcess(Primary(mood), deadline_ms=deadline).ask(body=BODY)
    assert (reply.status, reply.json()["error"]) == (500, "model-failed")
    assert b"secret" not in reply.body
    assert reply.headers["x-triune-prediction"]


def test_a_failing_fallback_is_500() -> None:
    reply = InProcess(Primary("failing"), fallback=Primary("failing")).ask(body=BODY)
    assert (reply.status, reply.json()["error"]) == (500, "model-failed")


@pytest.mark.parametrize("fallback", [True, False])
def test_a_full_queue_sheds_at_once_and_recovers(fallback: bool) -> None:
    primary = Primary("slow")
    server = InProcess(
        primary, fallback=Reflex() if fallback else None, deadline_ms=10_000.0, max_pending=3
    )

    async def scene() -> tuple[list[Reply], Reply, Reply]:
        waiting = [asyncio.create_task(server.reply(body=BODY)) for _ in range(3)]
        await asyncio.sleep(0)
        shed = await asyncio.wait_for(server.reply(body=BODY), 2)
        primary.gate.set()
        answered = await asyncio.gather(*waiting)
        return answered, shed, await server.reply(body=BODY)

    answered, shed, after = asyncio.run(scene())
    assert [score(reply) for reply in [*answered, after]] == [1.5] * 4
    if fallback:
        assert (shed.headers["x-triune-degraded"], score(shed)) == ("shed", 100.0)
    else:
        assert (shed.status, shed.json()["error"]) == (503, "model-overloaded")


def test_requests_given_up_are_not_run() -> None:
    primary = Primary("slow")
    server = InProcess(primary, fallback=Reflex(), deadline_ms=30.0, max_pending=10)

    async def scene() -> list[Reply]:
        late = await asyncio.gather(*(server.reply(body=BODY) for _ in range(5)))
        primary.mood = "well"
        primary.gate.set()
        return [*late, await server.reply(body=BODY)]

    replies = asyncio.run(scene())
    assert [reply.headers.get("x-triune-degraded") for reply in replies] == ["deadline"] * 5 + [
        None
    ]
    assert primary.runs == 2


def test_only_the_columns_a_model_needs_reach_it() -> None:
    declared = (TensorSpec("unused", Datatype.BYTES), *X)
    server = InProcess(Primary(), inputs=declared)
    both: list[dict[str, Any]] = [
        *BODY["inputs"],
        {"name": "unused", "shape": [1], "datatype": "BYTES", "data": ["a"]},
    ]
    assert score(server.ask(body={"inputs": both})) == 1.5
    reply = server.ask(body=BODY)
    assert (reply.status, reply.json()["error"]) == (400, "input-missing")


def test_a_model_that_blocks_the_loop_moves_to_a_thread() -> None:
    primary = Primary("slow")
    primary.gate.set()
    server = InProcess(primary)
    assert server.engine.inline
    run = primary.predict

    def lingering(inputs: Sequence[Values], rows: int) -> list[Values]:
        threads.append(threading.current_thread().name)
        threading.Event().wait(0.06)
        return run(inputs, rows)

    threads: list[str] = []
    primary.predict = lingering  # type: ignore[method-assign]
    assert [score(server.ask(body=BODY)) for _ in range(5)] == [1.5] * 5
    assert threads == ["MainThread"] * 3 + ["triune-model"] * 2
