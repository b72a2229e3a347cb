"""Talking to a running supervisord: XML-RPC over its private Unix socket."""

from __future__ import annotations

import http.client
import socket
import xmlrpc.client
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from triune.core.errors import Unavailable
from triune.operations.services.model import ProcessState

_SHUTTING_DOWN = 6
_NO_SUCH_NAME = 10
_NOT_RUNNING = 70
_ALREADY_STARTED = 60
_ALREADY_ADDED = 90
_SPAWN_ERRORS = {20, 21, 40, 50}

_STATES = {
    0: ProcessState.STOPPED,
    10: ProcessState.STARTING,
    20: ProcessState.RUNNING,
    30: ProcessState.RESTARTING,
    40: ProcessState.STOPPING,
    100: ProcessState.EXITED,
    200: ProcessState.FAILED,
    1000: ProcessState.FAILED,
}


class NotListening(Exception):
    """Nobody answers at the socket, or only to say goodbye: the supervisor does not run."""


@dataclass(frozen=True, slots=True)
class Info:
    """What the supervisor knows of a process; times are whole seconds since 1970."""

    name: str
    state: ProcessState
    pid: int | None
    started: int
    stopped: int


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class _Transport(xmlrpc.client.Transport):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__()
        self._path, self._timeout = path, timeout

    def make_connection(self, host: Any) -> http.client.HTTPConnection:  # noqa: ARG002
        return _Connection(self._path, self._timeout)


class Control:
    """The calls we make; each on a connection of its own, so threads may share one `Control`.

    Every call raises `NotListening` when no supervisor is there, and `Unavailable`
    (``supervisor-silent``) when it does not answer in time.
    """

    def __init__(self, path: Path, *, timeout: float) -> None:
        self._path, self._timeout = path, timeout

    def _call(self, method: str, *arguments: Any) -> Any:
        transport = _Transport(self._path, self._timeout)
        proxy = xmlrpc.client.ServerProxy("http://localhost", transport=transport)
        try:
            return getattr(proxy, method)(*arguments)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode == _SHUTTING_DOWN:
                raise NotListening("it is shutting down") from fault
            raise
        except TimeoutError as error:
            raise Unavailable(
                "supervisor-silent",
                f"the supervisor did not answer within {self._timeout:g} seconds",
                context=str(self._path),
                hint="`triune down` clears it; then `triune up`.",
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise NotListening(str(error)) from error
        finally:
            transport.close()

    def identity(self) -> str:
        """The identifier the supervisor was started with."""
        return str(self._call("supervisor.getIdentification"))

    def pid(self) -> int:
        """The supervisor's own process id."""
        return int(self._call("supervisor.getPID"))

    def infos(self) -> dict[str, Info]:
        """Every process it knows."""
        rows = self._call("supervisor.getAllProcessInfo")
        return {row["name"]: _info(row) for row in rows}

    def info(self, name: str) -> Info | None:
        """One process; None when it is not known."""
        try:
            return _info(self._call("supervisor.getProcessInfo", name))
        except xmlrpc.client.Fault as fault:
            _tolerate(fault, _NO_SUCH_NAME)
            return None

    def add(self, name: str) -> None:
        """Learn of a process whose file was just written."""
        self._call("supervisor.reloadConfig")
        try:
            self._call("supervisor.addProcessGroup", name)
        except xmlrpc.client.Fault as fault:
            _tolerate(fault, _ALREADY_ADDED)

    def start(self, name: str) -> None:
        """Start it and return at once; whether it lives shows in `info`."""
        try:
            self._call("supervisor.startProcess", name, False)
        except xmlrpc.client.Fault as fault:
            _tolerate(fault, _ALREADY_STARTED, *_SPAWN_ERRORS)

    def stop(self, name: str) -> None:
        """Ask it to stop and return at once."""
        try:
            self._call("supervisor.stopProcess", name, False)
        except xmlrpc.client.Fault as fault:
            _tolerate(fault, _NOT_RUNNING, _NO_SUCH_NAME)

    def forget(self, name: str) -> None:
        """Unlearn a stopped process."""
        try:
            self._call("supervisor.removeProcessGroup", name)
        except xmlrpc.client.Fault as fault:
            _tolerate(fault, _NO_SUCH_NAME)

    def signal(self, name: str, signal: str) -> bool:
        """Send a signal; False when the process is not known or not running."""
        try:
            self._call("supervisor.signalProcess", name, signal)
        except xmlrpc.client.Fault as fault:
            _tolerate(fault, _NOT_RUNNING, _NO_SUCH_NAME)
            return False
        return True

    def shutdown(self) -> None:
        """Stop everything and exit."""
        self._call("supervisor.shutdown")


def _info(row: dict[str, Any]) -> Info:
    return Info(
        name=row["name"],
        state=_STATES[row["state"]],
        pid=row["pid"] or None,
        started=row["start"],
        stopped=row["stop"],
    )


def _tolerate(fault: xmlrpc.client.Fault, *codes: int) -> None:
    if fault.faultCode not in codes:
        raise Unavailable("supervisor-refused", f"the supervisor says: {fault.faultString}")
