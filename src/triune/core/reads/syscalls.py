"""The calls that are watched, and the filter program that tells them apart. Pure.

Numbers: Linux ``arch/x86/entry/syscalls/syscall_64.tbl`` and ``include/uapi/asm-generic/unistd.h``.
The program is classic BPF over ``struct seccomp_data`` (seccomp(2)).
"""

from __future__ import annotations

import errno
import os
import platform
import struct
from collections.abc import Mapping
from dataclasses import dataclass

_ALLOW, _NOTIFY, _REFUSE = 0x7FFF0000, 0x7FC00000, 0x00050000 | errno.ENOSYS
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_X32_BIT = 0x40000000
_NOT_A_FILE = os.O_DIRECTORY | getattr(os, "O_PATH", 0o10000000)


@dataclass(frozen=True, slots=True)
class Machine:
    """One processor's numbers: ``audit`` names it to the filter."""

    audit: int
    calls: Mapping[str, int]
    has_x32: bool = False


_SHARED = {"openat2": 437, "io_uring_setup": 425}
MACHINES: Mapping[str, Machine] = {
    "x86_64": Machine(
        0xC000003E,
        {
            **_SHARED,
            "open": 2,
            "creat": 85,
            "openat": 257,
            "execve": 59,
            "execveat": 322,
            "rename": 82,
            "renameat": 264,
            "renameat2": 316,
            "link": 86,
            "linkat": 265,
            "connect": 42,
            "listen": 50,
            "open_by_handle_at": 304,
        },
        has_x32=True,
    ),
    "aarch64": Machine(
        0xC00000B7,
        {
            **_SHARED,
            "openat": 56,
            "execve": 221,
            "execveat": 281,
            "renameat": 38,
            "renameat2": 276,
            "linkat": 37,
            "connect": 203,
            "listen": 201,
            "open_by_handle_at": 265,
        },
    ),
}
FLAGS_ARGUMENT = {"open": 1, "openat": 2}
"""Calls whose flags the filter itself can look at, to let folders pass."""
REFUSED = ("io_uring_setup", "open_by_handle_at")
"""Ways to open a file that no filter sees; programs fall back when the kernel lacks them."""


def here() -> Machine | None:
    """This machine's numbers; None where reads cannot be watched by the kernel."""
    return MACHINES.get(platform.machine()) if platform.system() == "Linux" else None


def program(machine: Machine) -> bytes:
    """The filter: notify of what is watched, let everything else pass."""
    code = [_step(_LOAD, 4), _step(_EQUAL, machine.audit, 1, 0), _step(_RETURN, _REFUSE)]
    code.append(_step(_LOAD, 0))
    if machine.has_x32:
        code += [_step(_AT_LEAST, _X32_BIT, 0, 1), _step(_RETURN, _REFUSE)]
    for name, number in machine.calls.items():
        if name not in FLAGS_ARGUMENT:
            verdict = _REFUSE if name in REFUSED else _NOTIFY
            code += [_step(_EQUAL, number, 0, 1), _step(_RETURN, verdict)]
    for name in FLAGS_ARGUMENT.keys() & machine.calls.keys():
        code += [
            _step(_EQUAL, machine.calls[name], 0, 4),
            _step(_LOAD, 16 + 8 * FLAGS_ARGUMENT[name]),
            _step(_ANY_BIT, _NOT_A_FILE, 0, 1),
            _step(_RETURN, _ALLOW),
            _step(_RETURN, _NOTIFY),
        ]
    code.append(_step(_RETURN, _ALLOW))
    return b"".join(code)


def _step(operation: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", operation, if_true, if_false, value)
