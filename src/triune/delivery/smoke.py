"""Smoke tests: what a candidate must show before a user sees it.

The generic tests below run for every endpoint; the workspace adds its own, functions that
take a `SmokeClient` and raise when the candidate is not fit.
"""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from triune.core.errors import Unavailable
from triune.delivery.client import Answer, HttpClient
from triune.delivery.gateway.model import PREDICTION_HEADER, RELEASE_HEADER
from triune.delivery.release import Input

EXAMPLE_ROWS = 4
LATENCY_REQUESTS = 100
LATENCY_ROUNDS = 3
_TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class SmokeResult:
    """How one test went; ``words`` say why it failed."""

    name: str
    passed: bool
    words: str
    seconds: float


@dataclass(frozen=True, slots=True)
class SmokeTest:
    """One test; ``run`` raises when the candidate is not fit and may return words."""

    name: str
    run: Callable[[SmokeClient], str | None]


class SmokeClient:
    """What a smoke test talks to: the candidate itself, past the gateway.

    Attributes
    ----------
    url: where the candidate listens, e.g. ``http://127.0.0.1:41234``
    release: the reference it must answer with
    model: its name in the Open Inference Protocol
    example: a few rows of example inputs of its model, column name to values
    """

    def __init__(
        self,
        port: int,
        *,
        model: str,
        release: str,
        inputs: Sequence[Input] = (),
        example: Mapping[str, Sequence[Any]] | None = None,
    ) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.release = release
        self.model = model
        self.example = {
            name: list(values)[:EXAMPLE_ROWS] for name, values in (example or {}).items()
        }
        self._types = {item.name: item for item in inputs}
        self._client = HttpClient("127.0.0.1", port, timeout=_TIMEOUT_SECONDS)

    def close(self) -> None:
        """Give the connection back."""
        self._client.close()

    def infer(self, inputs: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
        """The outputs for some rows: output name, e.g. ``score``, to its values.

        Raises
        ------
        AssertionError: the candidate does not answer 200 with outputs; its own words are in the
            message.
        """
        answer = self.ask(inputs)
        said = answer.body[:500].decode(errors="replace")
        if answer.status != http.client.OK:
            raise AssertionError(f"answered {answer.status}: {said!r}")
        try:
            return {output["name"]: output["data"] for output in answer.json()["outputs"]}
        except (ValueError, TypeError, KeyError) as error:
            raise AssertionError(f"the answer has no outputs: {said!r}") from error

    def ask(self, inputs: Mapping[str, Sequence[Any]]) -> Answer:
        """The whole answer to an inference request, whatever its status."""
        body = json.dumps({"inputs": tensors(inputs, self._types)}).encode()
        return self.request("POST", f"/v2/models/{self.model}/infer", body)

    def request(self, method: str, path: str, body: bytes | None = None) -> Answer:
        """Any request to the candidate; `AssertionError` when it does not answer at all."""
        try:
            return self._client.request(method, path, body, {"content-type": "application/json"})
        except (OSError, http.client.HTTPException) as error:
            raise AssertionError(f"no answer: {type(error).__name__}: {error}") from error


def tensors(
    inputs: Mapping[str, Sequence[Any]], types: Mapping[str, Input]
) -> list[dict[str, Any]]:
    """Columns as tensors of the Open Inference Protocol, the declared types where there are."""
    made = []
    for name, values in inputs.items():
        declared = types.get(name)
        flat: list[Any] = []
        for value in values:
            flat.extend(value if isinstance(value, (list, tuple)) else [value])
        width = len(flat) // len(values) if values else 1
        made.append(
            {
                "name": name,
                "datatype": declared.datatype if declared else _datatype(flat),
                "shape": [len(values)] if width == 1 else [len(values), width],
                "data": flat,
            }
        )
    return made


def _datatype(values: Sequence[Any]) -> str:
    if any(isinstance(value, str) for value in values):
        return "BYTES"
    if values and all(isinstance(value, bool) for value in values):
        return "BOOL"
    if values and all(isinstance(value, int) for value in values):
        return "INT64"
    return "FP64"


def made_up(inputs: Sequence[Input]) -> dict[str, list[Any]]:
    """One row of neutral values of the declared types, for a model without an example."""
    zero: dict[str, Any] = {"BYTES": "", "BOOL": False, "INT32": 0, "INT64": 0}
    return {
        item.name: [
            [zero.get(item.datatype, 0.0)] * item.width
            if item.width > 1
            else zero.get(item.datatype, 0.0)
        ]
        for item in inputs
    }


def generic(*, latency_ms: float) -> tuple[SmokeTest, ...]:
    """The tests every candidate must pass, whatever its model."""
    return (
        SmokeTest("contract", contract),
        SmokeTest("bad-input", bad_input),
        SmokeTest("identity", identity),
        SmokeTest("latency", lambda client: latency(client, latency_ms)),
    )


def contract(client: SmokeClient) -> str:
    """It describes its model, and answers the example with as many rows as it was asked."""
    described = client.request("GET", f"/v2/models/{client.model}")
    assert described.status == http.client.OK, f"model metadata answered {described.status}"
    assert "inputs" in described.json(), "the model metadata names no inputs"
    answer = client.ask(client.example)
    assert answer.status == http.client.OK, f"answered {answer.status}: {answer.body[:300]!r}"
    outputs = answer.json().get("outputs")
    assert outputs, "the answer has no outputs"
    rows = len(next(iter(client.example.values()), [None]))
    for output in outputs:
        assert output["shape"][0] == rows, (
            f"{output['name']} has {output['shape'][0]} rows, asked for {rows}"
        )
    return f"{len(outputs)} outputs for {rows} rows"


def bad_input(client: SmokeClient) -> str:
    """A body that is not a request is refused with a typed error, never a 500."""
    answer = client.request("POST", f"/v2/models/{client.model}/infer", b'{"inputs": [')
    refused = 400 <= answer.status < 500
    assert refused, f"a broken body was answered with {answer.status}"
    assert "error" in answer.json(), "the refusal has no typed error"
    return f"refused with {answer.status}"


def identity(client: SmokeClient) -> str:
    """Every answer says which release made it, under an id of its own."""
    first, second = client.ask(client.example), client.ask(client.example)
    for answer in (first, second):
        said = answer.headers.get(RELEASE_HEADER)
        assert said == client.release, f"{RELEASE_HEADER} is {said!r}, not {client.release!r}"
    ids = [answer.headers.get(PREDICTION_HEADER) for answer in (first, second)]
    assert all(ids), f"an answer has no {PREDICTION_HEADER}"
    assert ids[0] != ids[1], f"two answers share the prediction id {ids[0]}"
    return client.release


def latency(client: SmokeClient, limit_ms: float) -> str:
    """The 99th percentile of one-row requests is within the limit.

    The best of three rounds counts, since a busy machine slows a good model by chance but
    never makes a slow one fast.
    """
    row = {name: values[:1] for name, values in client.example.items()}
    best = float("inf")
    for _ in range(LATENCY_ROUNDS):
        times = sorted(client.ask(row).seconds for _ in range(LATENCY_REQUESTS))
        best = min(best, times[int(0.99 * LATENCY_REQUESTS) - 1] * 1000)
        if best <= limit_ms:
            return f"p99 {best:.1f} ms"
    raise AssertionError(f"p99 {best:.1f} ms, the limit is {limit_ms:g} ms")


def run(tests: Sequence[SmokeTest], client: SmokeClient) -> Iterator[SmokeResult]:
    """Run each test; whatever a test raises is its result.

    Only what is away, e.g. the ledger in which a signature is looked up, says nothing of the
    candidate: `Unavailable` is raised.
    """
    for test in tests:
        begin = time.perf_counter()
        passed, words = _judge(test, client)
        yield SmokeResult(test.name, passed, words, round(time.perf_counter() - begin, 4))


def _judge(test: SmokeTest, client: SmokeClient) -> tuple[bool, str]:
    try:
        return True, test.run(client) or ""
    except AssertionError as error:
        return False, str(error) or "an assertion does not hold"
    except Unavailable:
        raise
    except Exception as error:  # a workspace's test may raise anything; that is its verdict
        return False, f"{type(error).__name__}: {error}"
