"""Awaiting a condition, with a deadline, instead of sleeping and hoping."""

from __future__ import annotations

import time
from collections.abc import Callable

from triune.core.errors import Unavailable


def wait_until(
    condition: Callable[[], bool],
    *,
    timeout: float,
    what: str,
    first_pause: float = 0.005,
    longest_pause: float = 0.25,
    hint: str = "`triune status` shows what runs, `triune logs` what it says.",
) -> float:
    """Ask until ``condition()`` is true; returns the seconds it took.

    The pause between two questions grows from ``first_pause`` to ``longest_pause`` seconds.

    Raises
    ------
    Unavailable: (``wait-timed-out``) after ``timeout`` seconds, naming ``what``.
    """
    begin = time.monotonic()
    pause = first_pause
    while not condition():
        waited = time.monotonic() - begin
        if waited >= timeout:
            raise Unavailable(
                "wait-timed-out", f"{what}: not within {timeout:g} seconds", hint=hint
            )
        time.sleep(min(pause, timeout - waited))
        pause = min(pause * 1.5, longest_pause)
    return time.monotonic() - begin
