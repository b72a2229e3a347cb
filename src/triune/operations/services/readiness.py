"""Asking a process whether it is ready, once and quickly."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import time
from typing import Any
from urllib.parse import urlsplit

from triune.core.process import CommandReady, FileReady, HttpReady, Ready, TcpReady
from triune.operations.services import processes

_CLOCK_SLACK = 1.0


def probe(ready: Ready, *, pid: int | None = None, timeout: float = 2.0) -> bool:
    """Whether the process is ready now; a wrong or late answer is a no.

    ``pid`` tells a file written by this process from one that an earlier process left.
    """
    match ready:
        case HttpReady(url):
            return _http(url, timeout)
        case TcpReady(port, host):
            return _tcp(host, port, timeout)
        case CommandReady():
            return _command(ready, timeout)
        case FileReady():
            return _file(ready, pid)


def _http(url: str, timeout: float) -> bool:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
    try:
        connection.request("GET", (parts.path or "/") + (f"?{parts.query}" if parts.query else ""))
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _tcp(host: str, port: int, timeout: float) -> bool:
    try:
        with socket.create_connection((host, port), timeout=timeout):
            return True
    except OSError:
        return False


def _command(ready: CommandReady, timeout: float) -> bool:
    environment = {"PATH": os.defpath, **ready.env}
    try:
        done = subprocess.run(
            ready.argv, env=environment, timeout=timeout, capture_output=True, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _file(ready: FileReady, pid: int | None) -> bool:
    try:
        written = ready.path.stat().st_mtime
    except OSError:
        return False
    process = processes.read(pid) if pid else None
    if process is None:
        return False
    return written >= time.time() - processes.age(process) - _CLOCK_SLACK


def as_dict(ready: Ready) -> dict[str, Any]:
    """A readiness check as JSON values; `from_dict` gives it back."""
    match ready:
        case HttpReady(url):
            return {"kind": "http", "url": url}
        case TcpReady(port, host):
            return {"kind": "tcp", "port": port, "host": host}
        case CommandReady(argv, env):
            return {"kind": "command", "argv": list(argv), "env": dict(env)}
        case FileReady(path):
            return {"kind": "file", "path": str(path)}


def from_dict(value: dict[str, Any]) -> Ready:
    """The readiness check that `as_dict` wrote."""
    from pathlib import Path

    match value["kind"]:
        case "http":
            return HttpReady(value["url"])
        case "tcp":
            return TcpReady(value["port"], value["host"])
        case "command":
            return CommandReady(tuple(value["argv"]), value["env"])
        case "file":
            return FileReady(Path(value["path"]))
        case other:
            raise ValueError(f"unknown readiness check {other!r}; known: http, tcp, command, file")
