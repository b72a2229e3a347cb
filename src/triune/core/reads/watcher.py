"""The watching process's side: a thread that answers the kernel and keeps what it saw."""

from __future__ import annotations

import os
import select
import socket
import threading
from collections.abc import Callable
from contextlib import suppress

import msgspec

from triune.core.reads.kernel import Listener
from triune.core.reads.model import Capture, FileRead, Seen
from triune.core.reads.watched import Told

Explain = Callable[[Seen], bytes]
"""Makes of what was seen one line of JSON for the watched process."""


def _nothing(_: Seen) -> bytes:
    return b"null"


class Watcher:
    """Watches one process and its children, from `start` until they are all gone.

    The watched process is answered by ``explain``, in a thread, when it asks what was seen. With
    ``seen`` what is seen is added to what others saw before.
    """

    def __init__(self, explain: Explain = _nothing, seen: Seen | None = None) -> None:
        self._channel, self.theirs = socket.socketpair()
        self._explain = explain
        self._seen = Seen() if seen is None else seen
        self._thread = threading.Thread(target=self._run, name="reads", daemon=True)

    def start(self) -> None:
        """Begin, once the watched process was started and has ``theirs``."""
        self.theirs.close()
        self._thread.start()

    def wait(self, seconds: float) -> bool:
        """Whether every watched process is gone, within so many seconds."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        with self._channel:
            first, descriptors, _, _ = socket.recv_fds(self._channel, 1, 1)
            if not first:
                return
            if not descriptors:
                self._seen.capture = Capture.PYTHON
                self._asked()
                return
            try:
                self._serve(Listener(descriptors[0], self._seen))
            finally:
                os.close(descriptors[0])

    def _serve(self, kernel: Listener) -> None:
        """Answer the kernel until no watched process is left, and the question in between."""
        poll = select.poll()
        poll.register(self._channel, select.POLLIN)
        poll.register(kernel.descriptor, select.POLLIN)
        while True:
            for descriptor, happened in poll.poll():
                if descriptor == self._channel.fileno():
                    self._asked()
                    poll.unregister(descriptor)
                elif happened & select.POLLIN:
                    kernel.answer()
                else:
                    return

    def _asked(self) -> None:
        """Take what the watched process tells, and answer it; nothing when it is gone."""
        with self._channel.makefile("rb") as lines:
            line = lines.readline()
        if not line.endswith(b"\n"):
            return
        told = msgspec.json.decode(line, type=Told)
        for path, size, mtime in told.files:
            self._seen.files.setdefault(path, FileRead(path, size, mtime))
        self._seen.own.update(told.own)
        self._seen.connections.update(told.connections)
        with suppress(BrokenPipeError, ConnectionResetError):  # it was killed while it waited
            self._channel.sendall(self._explain(self._seen) + b"\n")
