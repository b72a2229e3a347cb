"""A small real model server for tests: Open Inference Protocol answers with Triune's headers.

``python upstream.py spec.json``; the spec names port, release, arm, model and behaviour.
``POST /control/<behaviour>`` changes what it does while it runs:

- ``ok``: answers; ``error``: 500; ``slow``: answers after 80 ms; ``unready``: health fails
- ``wrong-rows``, ``wrong-release``, ``same-prediction``, ``crash-on-bad-input``: unfit answers
- ``die``: ends the process at once
- ``fails-20``: 500 to 20 % of the requests that come through the gateway for a unit; ``slow-20``:
  that share is answered after 80 ms; ``differs-20``: that share of scores is another one;
  ``sleeps-900``: requests for a unit are answered after so many ms;
  ``garbage``: 200 with a body that is no JSON. Smoke tests pass all of these but the last.

``samples`` is the file for what is answered to requests that the gateway marked as mirrored;
``settings`` are what ``GET /settings`` answers.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from triune.core.ids import new_id


@dataclass
class Upstream:
    port: int
    release: str
    arm: str
    model: str
    behaviour: str = "ok"
    samples: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    counted: int = 0
    connections: set[asyncio.StreamWriter] = field(default_factory=set)
    busy: int = 0
    stopping: bool = False

    async def serve(self) -> None:
        server = await asyncio.start_server(self.connection, "127.0.0.1", self.port)
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        await stop.wait()
        self.stopping = True
        server.close()
        while self.busy:
            await asyncio.sleep(0.005)
        for writer in self.connections:
            writer.close()

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.add(writer)
        try:
            while not self.stopping:
                head = await reader.readuntil(b"\r\n\r\n")
                self.busy += 1
                try:
                    await self.exchange(head, reader, writer)
                finally:
                    self.busy -= 1
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            self.connections.discard(writer)
            writer.close()

    async def exchange(
        self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        first, *rest = head.decode().split("\r\n")
        method, path, _ = first.split(" ")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in rest)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        began = time.monotonic()
        trait = self.trait(headers) if path.endswith("/infer") else ""
        if trait in ("slow", "sleeps"):
            await asyncio.sleep(0.08 if trait == "slow" else int(self.behaviour[7:]) / 1000)
        status, value = self.answer(method, path, body, headers)
        if trait == "fails":
            status, value = 500, {"error": "model-failed"}
        if trait == "differs" and status == 200:
            value["outputs"][0]["data"] = [0.1] * value["outputs"][0]["shape"][0]
        self.sample(headers, status, value, time.monotonic() - began)
        payload = b"{" if trait == "garbage" else json.dumps(value).encode()
        release = (
            "release:other@000000000000" if self.behaviour == "wrong-release" else self.release
        )
        prediction = f"x-triune-prediction: {self.prediction()}\r\n" if "infer" in path else ""
        if status == 500:
            prediction = ""
        writer.write(
            f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n"
            f"content-length: {len(payload)}\r\n{prediction}"
            f"x-triune-release: {release}\r\nx-triune-arm: {self.arm}\r\n\r\n".encode()
            + payload
        )
        await writer.drain()

    def trait(self, headers: dict[str, str]) -> str:
        """How this request is treated; of a share as evenly spread as can be."""
        trait, _, share = self.behaviour.partition("-")
        if self.behaviour in ("slow", "garbage"):
            return self.behaviour
        if not share.isdigit() or "x-triune-unit" not in headers:
            return ""
        self.counted += 1
        part = 100 if trait == "sleeps" else int(share)
        return trait if self.counted * part // 100 > (self.counted - 1) * part // 100 else ""

    def sample(
        self, headers: dict[str, str], status: int, value: dict[str, Any], seconds: float
    ) -> None:
        """Keep what was answered to a marked request; see ``docs/reference/serving.md``."""
        if not self.samples or "x-triune-shadow" not in headers:
            return
        line = {
            "r": headers["x-request-id"],
            "t": time.time_ns() // 1000,
            "s": status,
            "u": round(seconds * 1e6),
        }
        if status == 200:
            line["p"] = value["outputs"][0]["data"]
        with Path(self.samples).open("a") as file:
            file.write(json.dumps(line) + "\n")

    def prediction(self) -> str:
        return (
            "0192f3a0-0000-7000-8000-000000000000"
            if self.behaviour == "same-prediction"
            else new_id()
        )

    def answer(
        self, method: str, path: str, body: bytes, headers: dict[str, str]
    ) -> tuple[int, dict[str, Any]]:
        if path.startswith("/control/"):
            self.behaviour = path.rpartition("/")[2]
            if self.behaviour == "die":
                os._exit(9)
            return 200, {}
        if path == "/v2/health/ready":
            return (503 if self.behaviour == "unready" else 200), {}
        if path == f"/v2/models/{self.model}":
            return 200, {"name": self.model, "inputs": [], "outputs": []}
        if path == "/settings":
            return 200, self.settings
        if path == "/echo":
            return 200, {"path": path, "headers": headers}
        if self.behaviour == "error":
            return 500, {"error": "model-failed"}
        return self.infer(body)

    def infer(self, body: bytes) -> tuple[int, dict[str, Any]]:
        try:
            inputs = json.loads(body)["inputs"]
        except ValueError:
            status = 500 if self.behaviour == "crash-on-bad-input" else 400
            return status, {"error": "request-malformed"}
        rows = inputs[0]["shape"][0]
        if self.behaviour == "wrong-rows":
            rows += 1
        output = {"name": "score", "datatype": "FP64", "shape": [rows], "data": [0.5] * rows}
        return 200, {"model_name": self.model, "outputs": [output]}


def main() -> None:
    spec = json.loads(Path(sys.argv[1]).read_text())
    if spec.get("behaviour") == "never-starts":
        sys.exit("the model does not load")
    asyncio.run(Upstream(**spec).serve())


if __name__ == "__main__":
    main()
