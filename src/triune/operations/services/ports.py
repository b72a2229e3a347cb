"""Loopback ports: chosen free once, recorded, and the same at every start.

A port's name is its service's name, or ``service.part`` where a service has several.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from triune.core.errors import Conflict, Unavailable
from triune.core.files import locked, read_json, write_json

HOST = "127.0.0.1"
SPANS = {"seaweedfs.admin": 10_000}
"""A second port that goes with the first: so much above it, and as free."""
_LOWEST = 20_000
_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
_ATTEMPTS = 500


def owner(name: str) -> str:
    """The service a port belongs to."""
    return name.partition(".")[0]


def is_free(port: int) -> bool:
    """Whether nobody listens on the port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except PermissionError:
            # A port below 1024, and we are not root: whether it is taken, only calling it tells.
            return probe.connect_ex((HOST, port)) != 0
        except OSError:
            return False
    return True


def holder(port: int) -> str:
    """Who listens on the port, for people: ``nginx (pid 17)``."""
    import psutil

    for connection in psutil.net_connections(kind="tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,):
            if connection.pid is None:
                break
            try:
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
            except psutil.Error:
                break
    return "a process of another user"


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of one workspace.

    Parameters
    ----------
    path: the file that records them
    fixed: ports that the configuration names
    """

    path: Path
    fixed: Mapping[str, int]

    def get(self, name: str) -> int:
        """The port with this name; chosen free and recorded at the first call."""
        known = self.known()
        if name in known:
            return known[name]
        with self._lock():
            known = self.known()
            if name not in known:
                known[name] = _choose(name, known.values())
                write_json(self.path, known)
            return known[name]

    def known(self) -> dict[str, int]:
        """Every port that is fixed or recorded."""
        return {**(read_json(self.path) or {}), **self.fixed}

    def forget(self, name: str) -> None:
        """Give a recorded port back."""
        with self._lock():
            recorded = read_json(self.path) or {}
            if recorded.pop(name, None) is not None:
                write_json(self.path, recorded)

    def settle(self, running: Collection[str]) -> None:
        """Before a start: no port of a service that is about to start may be taken.

        ``running`` are services that hold their ports rightly. A recorded port that another
        process has taken meanwhile is chosen anew.

        Raises
        ------
        Conflict: (``port-taken``) a port that the configuration fixes is taken.
        """
        taken = {
            name: port
            for name, port in self.known().items()
            if owner(name) not in running and not _usable(name, port)
        }
        for name, port in taken.items():
            if name in self.fixed:
                raise Conflict(
                    "port-taken",
                    f"port {port} of service {name!r} is taken by {holder(port)}",
                    context=f"[services.{name}] port in triune.toml",
                    hint="Stop that process, or choose another port there.",
                )
        if taken:
            with self._lock():
                kept = {name: port for name, port in self.known().items() if name not in taken}
                for name in taken:
                    kept[name] = _choose(name, kept.values())
                write_json(self.path, kept)

    def _lock(self) -> AbstractContextManager[None]:
        return locked(self.path.with_name(self.path.name + ".lock"))


def _usable(name: str, port: int) -> bool:
    return is_free(port) and (name not in SPANS or is_free(port + SPANS[name]))


def _choose(name: str, taken: Collection[int]) -> int:
    """A free port below those the kernel gives to outgoing connections: such a port would
    be lost to any client while its service is down."""
    first_ephemeral = int(_EPHEMERAL.read_text().split()[0]) if _EPHEMERAL.exists() else 32_768
    highest = first_ephemeral - 1 if first_ephemeral > _LOWEST + 1000 else 65_535
    for _ in range(_ATTEMPTS):
        port = random.randint(_LOWEST, highest)  # noqa: S311
        if port not in taken and _usable(name, port):
            return port
    raise Unavailable(
        "ports-exhausted",
        f"no free port between {_LOWEST} and {highest}",
        hint="Stop programs that hold many ports, or fix ports in triune.toml.",
    )
