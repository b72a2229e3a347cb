"""Reading what services wrote: the last lines, what came since, how often one died."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

from triune.core.errors import NotFound

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


def names(folder: Path) -> list[str]:
    """Every service that has written something, in order of the alphabet."""
    return sorted(path.stem for path in folder.glob("*.log"))


def find(folder: Path, name: str) -> Path:
    """The log of a service; raises `NotFound` (``log-not-found``) with the names there are."""
    known = names(folder)
    if name not in known:
        raise NotFound(
            "log-not-found",
            f"there is no log of {name!r}",
            context=str(folder),
            hint=f"There are: {', '.join(known)}."
            if known
            else "Nothing has run yet: `triune up`.",
        )
    return folder / f"{name}.log"


def follow(path: Path, since: int, *, pause: float = 0.2) -> Iterator[str]:
    """Lines written after the byte ``since``, as they come, for ever; a rotated log is
    followed into its successor."""
    position, partial = since, ""
    while True:
        end = size(path)
        if end < position:
            position, partial = 0, ""
        if end == position:
            time.sleep(pause)
            continue
        with path.open("rb") as file:
            file.seek(position)
            data = file.read(end - position)
        position += len(data)
        *lines, partial = (partial + data.decode(errors="replace")).split("\n")
        yield from lines
