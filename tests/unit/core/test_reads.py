"""The filter's program, run by a model of the kernel's machine; and addresses of peers."""

from __future__ import annotations

import os
import socket
import struct

import pytest

from triune.core.reads.peers import peer_of
from triune.core.reads.syscalls import FLAGS_ARGUMENT, MACHINES, REFUSED, Machine, program

ALLOW, NOTIFY, REFUSE = 0x7FFF0000, 0x7FC00000, 0x00050000


def _verdict(machine: Machine, number: int, *arguments: int, audit: int | None = None) -> int:
    """What classic BPF makes of one call: the five operations that the program uses."""
    values = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("=IIQ6Q", number, audit or machine.audit, 0, *values)
    steps = list(struct.iter_unpack("=HBBI", program(machine)))
    held = at = 0
    while True:
        operation, if_true, if_false, value = steps[at]
        at += 1
        if operation == 0x20:
            (held,) = struct.unpack_from("=I", data, value)
        elif operation == 0x06:
            return value
        else:
            holds = {0x15: held == value, 0x35: held >= value, 0x45: bool(held & value)}[operation]
            at += if_true if holds else if_false


@pytest.fixture(params=sorted(MACHINES))
def machine(request: pytest.FixtureRequest) -> Machine:
    return MACHINES[request.param]


def test_every_watched_call_is_told_of_and_ways_around_are_refused(machine: Machine) -> None:
    for name, number in machine.calls.items():
        expected = REFUSE if name in REFUSED else NOTIFY
        assert _verdict(machine, number) & 0xFFFF0000 == expected & 0xFFFF0000, name


def test_other_calls_and_folders_pass(machine: Machine) -> None:
    watched = set(machine.calls.values())
    assert all(_verdict(machine, n) == ALLOW for n in range(512) if n not in watched)
    for name in FLAGS_ARGUMENT.keys() & machine.calls.keys():
        flags = [0] * FLAGS_ARGUMENT[name] + [os.O_RDONLY | os.O_DIRECTORY]
        assert _verdict(machine, machine.calls[name], *flags) == ALLOW


def test_calls_of_another_architecture_are_refused(machine: Machine) -> None:
    assert _verdict(machine, 0, audit=0x40000003) & 0xFFFF0000 == REFUSE
    if machine.has_x32:
        assert _verdict(machine, 0x40000000 | 257) & 0xFFFF0000 == REFUSE


def _inet(host: str, port: int) -> bytes:
    return struct.pack("=H", socket.AF_INET) + struct.pack("!H", port) + socket.inet_aton(host)


def test_peers_are_named_by_their_address() -> None:
    assert str(peer_of(_inet("10.1.2.3", 443))) == "tcp://10.1.2.3:443"
    six = struct.pack("=H", socket.AF_INET6) + struct.pack("!HI", 80, 0)
    assert str(peer_of(six + socket.inet_pton(socket.AF_INET6, "::1"))) == "tcp://[::1]:80"
    local = struct.pack("=H", socket.AF_UNIX)
    assert str(peer_of(local + b"/var/run/postgresql/.s.PGSQL.5432\0")) == (
        "unix:/run/postgresql/.s.PGSQL.5432"
    )
    assert peer_of(local + b"/run/nscd/socket\0") is None
    assert peer_of(b"") is None
    assert peer_of(struct.pack("=H", socket.AF_NETLINK) + bytes(10)) is None
