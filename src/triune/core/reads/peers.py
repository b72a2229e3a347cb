"""Whom a socket is connected to, and whether that is one of the watched processes themselves."""

from __future__ import annotations

import os
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

_NET = Path("/proc/net")
_LISTENING = "0A"
_HOUSEHOLD = ("/run/", "/var/run/nscd/", "/dev/", "@/")
"""Local sockets of the system itself: names, logs, the desktop."""
_DATABASES = ("/run/postgresql/", "/run/mysqld/")


@dataclass(frozen=True, slots=True)
class Peer:
    """The address of a connection: a host and its port, or the path of a local socket."""

    host: str
    port: int | None

    def __str__(self) -> str:
        if self.port is None:
            return f"unix:{self.host}"
        return (
            f"tcp://[{self.host}]:{self.port}"
            if ":" in self.host
            else f"tcp://{self.host}:{self.port}"
        )


def peer_of(address: bytes) -> Peer | None:
    """The peer in a ``struct sockaddr``; None for families that carry no data of users."""
    if len(address) < 2:
        return None
    (family,) = struct.unpack_from("=H", address)
    if family == socket.AF_INET and len(address) >= 8:
        return Peer(str(IPv4Address(address[4:8])), int.from_bytes(address[2:4], "big"))
    if family == socket.AF_INET6 and len(address) >= 24:
        host = IPv6Address(address[8:24])
        return Peer(str(host.ipv4_mapped or host), int.from_bytes(address[2:4], "big"))
    if family == socket.AF_UNIX:
        return _local(address[2:])
    return None


def _local(name: bytes) -> Peer | None:
    abstract = name.startswith(b"\0")
    text = "@" + os.fsdecode(name[1:]) if abstract else os.fsdecode(name.partition(b"\0")[0])
    text = text.replace("/var/run/", "/run/", 1)
    if not text or (text.startswith(_HOUSEHOLD) and not text.startswith(_DATABASES)):
        return None
    return Peer(text, None)


def socket_of(task: int, descriptor: int) -> int | None:
    """The inode of a task's socket."""
    target = os.readlink(f"/proc/{task}/fd/{descriptor}")
    return int(target[8:-1]) if target.startswith("socket:[") else None


def is_datagram(task: int, descriptor: int) -> bool:
    """Whether the socket carries datagrams: `connect` then sends nothing and picks a route."""
    inode = str(socket_of(task, descriptor))
    return any(inode in _column(table, 9) for table in ("udp", "udp6"))


def _column(table: str, place: int) -> set[str]:
    with suppress(FileNotFoundError):
        return {line.split()[place] for line in (_NET / table).read_text().splitlines()[1:]}
    return set()


def listener_of(peer: Peer) -> int | None:
    """The inode of the local socket that takes connections for this address; None when the
    peer is on another machine, or nobody listens."""
    if peer.port is None:
        return _local_listener(peer.host)
    host = ip_address(peer.host)
    for table in ("tcp", "tcp6"):
        with suppress(FileNotFoundError):
            for line in (_NET / table).read_text().splitlines()[1:]:
                _, here, _, state, *rest = line.split()
                bound, _, port = here.rpartition(":")
                if state == _LISTENING and int(port, 16) == peer.port and _reaches(bound, host):
                    return int(rest[5])
    return None


def _reaches(bound: str, host: IPv4Address | IPv6Address) -> bool:
    """Whether a socket bound to this address, as /proc/net writes it, takes what is sent to it."""
    words = [struct.pack("<I", int(bound[at : at + 8], 16)) for at in range(0, len(bound), 8)]
    address = ip_address(b"".join(words))
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address
    return (address.is_unspecified and host.is_loopback) or address == host


def _local_listener(path: str) -> int | None:
    for line in (_NET / "unix").read_text().splitlines()[1:]:
        columns = line.split(maxsplit=7)
        if len(columns) == 8 and columns[7] == path:
            return int(columns[6])
    return None
