"""Busy keep-alive connections against one URL: by wrk where it is installed, else our own.

Run as a script it is the built-in client: ``load.py PORT PATH BODY_FILE CONNECTIONS SECONDS``.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

_SCRIPT = """
wrk.method = "POST"
wrk.path = "{path}"
wrk.headers["content-type"] = "application/json"
local file = io.open("{body}"); wrk.body = file:read("*a"); file:close()
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('RESULT {{"requests":%d,"seconds":%f,"errors":%d,"p50":%f,"p99":%f}}\\n',
    summary.requests, summary.duration / 1e6, e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
"""


@dataclass(frozen=True)
class Outcome:
    """Requests answered 200 in how many seconds; latencies in milliseconds."""

    requests: int
    seconds: float
    errors: int
    p50: float
    p99: float


def drive(port: int, path: str, body: Path, *, connections: int, seconds: float) -> Outcome:
    """One burst of load; raises when anything but 200 came back."""
    if shutil.which("wrk"):
        outcome = _wrk(port, path, body, connections, seconds)
    else:
        argv = [str(port), path, str(body), str(connections), str(seconds)]
        output = subprocess.run(
            [sys.executable, __file__, *argv], check=True, capture_output=True, text=True
        ).stdout
        outcome = Outcome(**json.loads(output))
    if outcome.errors or not outcome.requests:
        raise SystemExit(f"{path} on {port}: {outcome}")
    return outcome


def _wrk(port: int, path: str, body: Path, connections: int, seconds: float) -> Outcome:
    script = body.with_suffix(".lua")
    script.write_text(_SCRIPT.format(path=path, body=body))
    output = subprocess.run(
        [
            *("wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "20s"),
            *("-s", str(script), f"http://127.0.0.1:{port}"),
        ],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    line = next(line for line in output.splitlines() if line.startswith("RESULT "))
    return Outcome(**json.loads(line.removeprefix("RESULT ")))


async def _connection(port: int, request: bytes, until: float, taken: list[float]) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    errors = 0
    while time.perf_counter() < until:
        began = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.partition(b":")[2])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length:")
        )
        await reader.readexactly(length)
        if head.startswith(b"HTTP/1.1 200"):
            taken.append(time.perf_counter() - began)
        else:
            errors += 1
    writer.close()
    return errors


async def _main(port: int, path: str, body: bytes, connections: int, seconds: float) -> Outcome:
    request = (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    ).encode() + body
    began = time.perf_counter()
    taken: list[float] = []
    errors = await asyncio.gather(
        *(_connection(port, request, began + seconds, taken) for _ in range(connections))
    )
    spent = time.perf_counter() - began
    taken.sort()
    p50, p99 = (taken[int(len(taken) * q)] * 1000 for q in (0.5, 0.99))
    return Outcome(len(taken), spent, sum(errors), p50, p99)


if __name__ == "__main__":
    _, _port, _path, _body, _connections, _seconds = sys.argv
    _outcome = asyncio.run(
        _main(int(_port), _path, Path(_body).read_bytes(), int(_connections), float(_seconds))
    )
    print(json.dumps(_outcome.__dict__))
