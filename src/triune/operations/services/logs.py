"""Reading what services wrote: the last lines, what came since, how often one died."""

from __future__ import annotations

import re
from pathlib import Path

_BLOCK = 64 * 1024
_STARTED = "supervisord started with pid"


def size(path: Path) -> int:
    """Bytes in the log now; 0 when there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def tail(path: Path, lines: int, *, since: int = 0) -> list[str]:
    """The last lines of a log; none of them from before the byte ``since``.

    A log that was rotated since then is read from its beginning.
    """
    end = size(path)
    begin = since if since <= end else 0
    data = b""
    if end:
        with path.open("rb") as file:
            while end > begin and data.count(b"\n") <= lines:
                step = min(_BLOCK, end - begin)
                end -= step
                file.seek(end)
                data = file.read(step) + data
    return data.decode(errors="replace").splitlines()[-lines:] if lines else []


def deaths(supervisor_log: Path) -> dict[str, int]:
    """How often each process ended by itself since the supervisor started."""
    counts: dict[str, int] = {}
    try:
        text = supervisor_log.read_text(errors="replace")
    except FileNotFoundError:
        return counts
    for name in re.findall(r" exited: (\S+) \(", text[text.rfind(_STARTED) :]):
        counts[name] = counts.get(name, 0) + 1
    return counts
