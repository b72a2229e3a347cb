"""One seccomp listener: takes the kernel's notices, looks at the arguments, lets the calls go on.

Structures and numbers: Linux ``include/uapi/linux/seccomp.h`` (seccomp_unotify(2)).
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct
from collections.abc import Callable, Sequence
from contextlib import suppress

from triune.core.reads import peers
from triune.core.reads.model import Seen
from triune.core.reads.syscalls import here

_RECEIVE, _SEND, _VALID, _SET_FLAGS = 0xC0502100, 0xC0182101, 0x40082102, 0x40082104
_WAKE_UP_AT_ONCE = 1
_NOTICE, _ANSWER = struct.Struct("=QIIiIQ6Q"), struct.Struct("=QqiI")
_GO_ON = 1
_WORKING_FOLDER = -100
_PAGE = 4096
_LONGEST_ADDRESS = 128

_Handler = Callable[[int, Sequence[int]], Callable[[], None] | None]


class _Piece(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


_libc = ctypes.CDLL(None, use_errno=True)
_libc.process_vm_readv.restype = ctypes.c_ssize_t


class _Memory:
    """Reads the memory of other processes into a buffer of its own: one for each thread."""

    def __init__(self) -> None:
        self._buffer = ctypes.create_string_buffer(2 * _PAGE)
        self._into = _Piece(ctypes.addressof(self._buffer), 2 * _PAGE)

    def read(self, task: int, address: int, size: int) -> bytes:
        """``size`` bytes, or fewer where the page ends and no other follows."""
        first = min(size, _PAGE - address % _PAGE)
        pieces = (_Piece * 2)(_Piece(address, first), _Piece(address + first, size - first))
        count = ctypes.c_ulong(2 if size > first else 1)
        into, flags = ctypes.byref(self._into), ctypes.c_ulong(0)
        read = _libc.process_vm_readv(
            ctypes.c_int(task), into, ctypes.c_ulong(1), pieces, count, flags
        )
        if read < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return self._buffer.raw[:read]

    def path(self, task: int, folder: int, address: int) -> str:
        """The absolute path of a call's arguments, not yet resolved."""
        text = self.read(task, address, 256).partition(b"\0")
        if not text[1]:
            text = self.read(task, address, _PAGE).partition(b"\0")
        path = os.fsdecode(text[0])
        if path.startswith("/"):
            return path
        place = "cwd" if folder == _WORKING_FOLDER else f"fd/{folder}"
        return os.path.join(os.readlink(f"/proc/{task}/{place}"), path).rstrip("/")


class Listener:
    """Sees the calls of one watched process and of all its children into ``seen``."""

    def __init__(self, descriptor: int, seen: Seen) -> None:
        machine = here()
        if machine is None:
            raise ValueError("this machine hands out no listeners")
        self.descriptor = descriptor
        self._seen = seen
        self._memory = _Memory()
        self._listening: set[int] = set()
        self._handlers: dict[int, _Handler] = {
            machine.calls[name]: handler
            for name, handler in self._by_name().items()
            if name in machine.calls
        }
        with suppress(OSError):  # older than 6.6: the caller is woken by the scheduler
            fcntl.ioctl(descriptor, _SET_FLAGS, _WAKE_UP_AT_ONCE)

    def answer(self) -> None:
        """Take one notice, which `poll` said is there, and let its call go on."""
        notice = bytearray(_NOTICE.size)
        try:
            fcntl.ioctl(self.descriptor, _RECEIVE, notice)
        except OSError as error:
            if error.errno in {errno.ENOENT, errno.EINTR}:  # a signal called it back
                return
            raise
        identifier, task, _, number, _, _, *arguments = _NOTICE.unpack(notice)
        try:
            keep = self._handlers[number](task, arguments)
        except OSError:  # it died, or left its parents' reach
            keep = self._lose if self._waits(identifier) else None
        if keep is not None and self._waits(identifier):
            keep()
        with suppress(FileNotFoundError):  # it was killed, or called back and will ask again
            fcntl.ioctl(self.descriptor, _SEND, _ANSWER.pack(identifier, 0, 0, _GO_ON))

    def _waits(self, identifier: int) -> bool:
        """Whether the task is the one that asked, so that what was read was its memory."""
        try:
            fcntl.ioctl(self.descriptor, _VALID, struct.pack("=Q", identifier))
        except FileNotFoundError:
            return False
        return True

    def _lose(self) -> None:
        self._seen.lost += 1

    def _by_name(self) -> dict[str, _Handler]:
        opened, moved = self._opened, self._moved
        return {
            "open": lambda task, a: opened(task, _WORKING_FOLDER, a[0], a[1]),
            "creat": lambda task, a: opened(task, _WORKING_FOLDER, a[0], os.O_WRONLY | os.O_TRUNC),
            "openat": lambda task, a: opened(task, _signed(a[0]), a[1], a[2]),
            "openat2": self._opened_by_structure,
            "execve": lambda task, a: opened(task, _WORKING_FOLDER, a[0], os.O_RDONLY),
            "execveat": lambda task, a: opened(task, _signed(a[0]), a[1], os.O_RDONLY),
            "rename": lambda task, a: moved(task, _WORKING_FOLDER, a[0], _WORKING_FOLDER, a[1]),
            "renameat": lambda task, a: moved(task, _signed(a[0]), a[1], _signed(a[2]), a[3]),
            "renameat2": lambda task, a: moved(task, _signed(a[0]), a[1], _signed(a[2]), a[3]),
            "link": lambda task, a: moved(task, _WORKING_FOLDER, a[0], _WORKING_FOLDER, a[1]),
            "linkat": lambda task, a: moved(task, _signed(a[0]), a[1], _signed(a[2]), a[3]),
            "listen": self._listens,
            "connect": self._connects,
        }

    def _opened(self, task: int, folder: int, address: int, flags: int) -> Callable[[], None]:
        path = self._memory.path(task, folder, address)
        return lambda: self._seen.opened(path, flags)

    def _opened_by_structure(self, task: int, a: Sequence[int]) -> Callable[[], None]:
        (flags,) = struct.unpack("=Q", self._memory.read(task, a[2], 8))
        return self._opened(task, _signed(a[0]), a[1], flags)

    def _moved(self, task: int, old_at: int, old: int, new_at: int, new: int) -> Callable[[], None]:
        source = self._memory.path(task, old_at, old)
        target = self._memory.path(task, new_at, new)
        return lambda: self._seen.moved(source, target)

    def _listens(self, task: int, a: Sequence[int]) -> Callable[[], None] | None:
        inode = peers.socket_of(task, _signed(a[0]))
        return None if inode is None else lambda: self._listening.add(inode)

    def _connects(self, task: int, a: Sequence[int]) -> Callable[[], None] | None:
        address = self._memory.read(task, a[1], min(a[2], _LONGEST_ADDRESS))
        peer = peers.peer_of(address)
        if peer is None or peers.is_datagram(task, _signed(a[0])):
            return None
        if peers.listener_of(peer) in self._listening:
            return None
        return lambda: self._seen.connections.add(str(peer))


def _signed(value: int) -> int:
    """A C ``int`` out of a register."""
    return (value & 0xFFFFFFFF) - ((value & 0x80000000) << 1)
