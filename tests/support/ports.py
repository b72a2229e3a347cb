"""Ports for processes that bind them long after they were chosen, and again after a kill.

All lie below those that a client's own end of a connection gets: such a port is lost to any client
while nobody listens on it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from itertools import cycle
from pathlib import Path

from triune.operations.services.ports import is_free

# Below the ports that workspaces choose.
_FIRST, _LAST = 12_000, 20_000
_BLOCK = 125
_FOLDER = Path(tempfile.gettempdir()) / f"triune-test-ports-{os.getuid()}"


_OWN_BLOCKS = 3
_taking = threading.Lock()
_held = contextlib.ExitStack()
_own: Iterator[int] | None = None


def free_port() -> int:
    """A loopback port that nobody listens on now, from some that this process has for itself as
    long as it lives."""
    global _own  # noqa: PLW0603
    with _taking:
        if _own is None:
            blocks = [_held.enter_context(block()) for _ in range(_OWN_BLOCKS)]
            _own = cycle([port for ports in blocks for port in ports])
        return next(port for port in _own if is_free(port))


@contextlib.contextmanager
def block() -> Iterator[Sequence[int]]:
    """About a hundred free ports that no other stage on this machine uses for the length of the
    block: a lock on a file says so, which the kernel drops with its holder."""
    _FOLDER.mkdir(exist_ok=True)
    numbers = list(range((_LAST - _FIRST) // _BLOCK))
    random.Random(f"{os.getpid()} {time.monotonic_ns()}").shuffle(numbers)
    for number in numbers:
        with contextlib.ExitStack() as stack:
            if _locked(_FOLDER / str(number), stack):
                first = _FIRST + number * _BLOCK
                yield [port for port in range(first, first + _BLOCK) if is_free(port)]
                return
    raise AssertionError("all blocks of ports are in use")


def _locked(path: Path, stack: contextlib.ExitStack) -> bool:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    stack.callback(os.close, descriptor)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
