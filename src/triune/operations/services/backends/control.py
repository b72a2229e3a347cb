"""Talking to a running supervisord: XML-RPC over its private Unix socket."""

from __future__ import annotations

import http.client
import socket
import xmlrpc.client
from collections.abc import Collection
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


class NotListening(Unavailable):
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

    Every call raises `NotListening` when no supervisor is there, and `Unavailable` when it
    does not answer in time (``supervisor-silent``) or says no (``supervisor-refused``).
    """

    def __init__(self, path: Path, *, timeout: float) -> None:
        self._path, self._timeout = path, timeout

    def _call(self, method: str, *arguments: Any, tolerate: Collection[int] = ()) -> Any:
        """The answer, or None for a refusal whose code is tolerated."""
        transport = _Transport(self._path, self._timeout)
        proxy = xmlrpc.client.ServerProxy("http://localhost", transport=transport)
        try:
            return getattr(proxy, f"supervisor.{method}")(*arguments)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode == _SHUTTING_DOWN:
                raise _not_listening(self._path) from fault
            if fault.faultCode in tolerate:
                return None
            raise Unavailable(
                "supervisor-refused",
                f"the supervisor says: {fault.faultString}",
                context=str(self._path),
                hint="`triune logs supervisor` shows more.",
            ) from fault
        except TimeoutError as error:
            raise Unavailable(
                "supervisor-silent",
                f"the supervisor did not answer within {self._timeout:g} seconds",
                context=str(self._path),
                hint="`triune down` clears it; then `triune up`.",
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise _not_listening(self._path) from error
        finally:
            transport.close()

    def identity(self) -> str:
        """The identifier the supervisor was started with."""
        return str(self._call("getIdentification"))

    def pid(self) -> int:
        """The supervisor's own process id."""
        return int(self._call("getPID"))

    def infos(self) -> dict[str, Info]:
        """Every process it knows."""
        return {row["name"]: _info(row) for row in self._call("getAllProcessInfo")}

    def info(self, name: str) -> Info | None:
        """One process; None when it is not known."""
        row = self._call("getProcessInfo", name, tolerate={_NO_SUCH_NAME})
        return None if row is None else _info(row)

    def add(self, name: str) -> None:
        """Learn of a process whose file was just written."""
        self._call("reloadConfig")
        self._call("addProcessGroup", name, tolerate={_ALREADY_ADDED})

    def start(self, name: str) -> None:
        """Start it and return at once; whether it lives shows in `info`."""
        self._call("startProcess", name, False, tolerate={_ALREADY_STARTED, *_SPAWN_ERRORS})

    def stop(self, name: str) -> None:
        """Ask it to stop and return at once."""
        self._call("stopProcess", name, False, tolerate={_NOT_RUNNING, _NO_SUCH_NAME})

    def forget(self, name: str) -> None:
        """Unlearn a stopped process."""
        self._call("removeProcessGroup", name, tolerate={_NO_SUCH_NAME})

    def signal(self, name: str, signal: str) -> bool:
        """Send a signal; False when the process is not known or not running."""
        sent = self._call("signalProcess", name, signal, tolerate={_NOT_RUNNING, _NO_SUCH_NAME})
        return sent is not None

    def shutdown(self) -> None:
        """Stop everything and exit."""
        self._call("shutdown")


def _not_listening(path: Path) -> NotListening:
    return NotListening(
        "services-not-running",
        "this workspace's services are not up",
        context=str(path),
        hint="Run `triune up`.",
    )


def _info(row: dict[str, Any]) -> Info:
    return Info(
        name=row["name"],
        state=_STATES[row["state"]],
        pid=row["pid"] or None,
        started=row["start"],
        stopped=row["stop"],
    )
