"""A small HTTP client for one model server on loopback: one kept connection, JSON, timings."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: header names are in lower case, ``seconds`` from sending to the last byte."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float

    def json(self) -> Any:
        """The body as a JSON value; `ValueError` when it is none."""
        return json.loads(self.body)


class HttpClient:
    """Requests to ``host:port``; `OSError` and `http.client.HTTPException` mean no answer."""

    def __init__(self, host: str, port: int, *, timeout: float) -> None:
        self._connection = http.client.HTTPConnection(host, port, timeout=timeout)

    def __enter__(self) -> HttpClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the connection back."""
        self._connection.close()

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one request and read its whole answer."""
        begin = time.perf_counter()
        try:
            self._connection.request(method, path, body, dict(headers or {}))
            answer = self._connection.getresponse()
            data = answer.read()
        except BaseException:
            self._connection.close()
            raise
        elapsed = time.perf_counter() - begin
        names = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, names, data, elapsed)


def ready(host: str, port: int, *, timeout: float) -> tuple[bool, str]:
    """Whether a model server says it is ready, and in words what it said instead."""
    with HttpClient(host, port, timeout=timeout) as client:
        try:
            answer = client.request("GET", "/v2/health/ready")
        except (OSError, http.client.HTTPException) as error:
            return False, f"no answer: {type(error).__name__}: {error}"
    if answer.status == http.client.OK:
        return True, "ready"
    return False, f"answered {answer.status}"
