"""Loopback ports: chosen free once, recorded, and the same at every start.

A port's name is its service's name, or ``service.part`` where a service has several. A port that
one workspace has recorded is no other workspace's of the same user, also while nobody listens on
it: each leaves a note for the others, in a folder that all of them know.
"""

from __future__ import annotations

import os
import random
import socket
import tempfile
from collections.abc import Collection, Mapping, Set
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from triune.core.errors import Conflict, TriuneError, Unavailable
from triune.core.files import locked, own_folder, read_json, write_atomic, write_json

HOST = "127.0.0.1"
SPANS = {"seaweedfs.admin": 10_000}
"""A second port that goes with the first: so much above it, and as free."""
_LOWEST = 20_000
_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
_ATTEMPTS = 500
_NOTES = Path(tempfile.gettempdir()) / f"triune-ports-{os.getuid()}"
_DRAW = random.SystemRandom()
"""Not the interpreter's own numbers, which trainings and property tests start from a fixed seed."""


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
                known[name] = self._choose(name, _held(known))
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
            if owner(name) not in running and not all(map(is_free, _held({name: port})))
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
                    kept[name] = self._choose(name, _held(kept))
                write_json(self.path, kept)

    def _choose(self, name: str, taken: Set[int]) -> int:
        """A port that is free, and noted as ours."""
        choice, mine = _in_range(), self.path.resolve()
        with _notes_locked():
            for _ in range(_ATTEMPTS):
                port = _DRAW.choice(choice)
                wanted = _held({name: port})
                if wanted & taken or not all(map(is_free, wanted)):
                    continue
                if all(_note(one, mine) for one in wanted):
                    return port
        raise Unavailable(
            "ports-exhausted",
            f"no free port between {choice[0]} and {choice[-1]}",
            hint="Stop programs that hold many ports, or fix ports in triune.toml.",
        )

    def _lock(self) -> AbstractContextManager[None]:
        return locked(self.path.with_name(self.path.name + ".lock"))


def _in_range() -> range:
    """Below the ports that the kernel gives to outgoing connections: such a port would be lost
    to any client while its service is down."""
    first_ephemeral = int(_EPHEMERAL.read_text().split()[0]) if _EPHEMERAL.exists() else 32_768
    return range(_LOWEST, first_ephemeral if first_ephemeral > _LOWEST + 1000 else 65_536)


def _held(known: Mapping[str, int]) -> set[int]:
    """All ports that these names take, with those that go with them."""
    return {port + span for name, port in known.items() for span in (0, SPANS.get(name, 0))}


def _notes_locked() -> AbstractContextManager[None]:
    """Nobody else notes anything meanwhile. In a folder that somebody else put there, there are
    no notes: choosing goes on without."""
    folder = own_folder(_NOTES)
    return locked(folder / "lock") if os.access(folder, os.W_OK) else nullcontext()


def _note(port: int, recorded_in: Path) -> bool:
    """Tell the other workspaces that ``recorded_in`` will record this port; False when another's
    file has it recorded. A note whose file is gone, or has it no longer, says nothing."""
    note = _NOTES / str(port)
    if not os.access(_NOTES, os.W_OK):
        return True
    try:
        other = Path(note.read_text())
    except FileNotFoundError:
        other = recorded_in
    if other != recorded_in and port in _held(_recorded(other)):
        return False
    write_atomic(note, str(recorded_in), synced=False)
    return True


def _recorded(path: Path) -> dict[str, int]:
    """What a file of another workspace records; nothing if it cannot be read."""
    try:
        return read_json(path) or {}
    except (OSError, TriuneError):
        return {}
