"""Children that end when their parent does, however that ends."""

from __future__ import annotations

import ctypes
import signal

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def die_with_parent() -> None:
    """For `subprocess`'s ``preexec_fn``: the kernel kills the child when its parent's thread ends.

    Only for children that are waited for by the thread that starts them.
    """
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
