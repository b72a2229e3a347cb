"""Ports for a stage of many processes, bound one after the other, long after they were chosen."""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import socket
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

# Below the ports that workspaces choose, and those that a client's own end of a connection gets.
_FIRST, _LAST = 12_000, 20_000
_BLOCK = 125
_FOLDER = Path(tempfile.gettempdir()) / f"triune-test-ports-{os.getuid()}"


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
                yield [port for port in range(first, first + _BLOCK) if _free(port)]
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


def _free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
