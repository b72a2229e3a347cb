"""Acting on many small files at once: threads for some, processes for many.

With thousands of small files, threads of one interpreter wait for each other more than they win;
a process takes a twentieth of a second to begin.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar

from triune.core.errors import Unavailable

WORKERS = min(4, os.cpu_count() or 1)
MANY = 4_000
_SLICE = 250
_SERVE = "from triune.data.fast.worker import serve; serve()"
Progress = Callable[[int, int], None]
Item = TypeVar("Item")
Result = TypeVar("Result")


def silent(_done: int, _all: int) -> None:
    """Progress that nobody watches."""


def spread(
    act: Callable[[Item], Result],
    items: Sequence[Item],
    on_progress: Progress = silent,
    *,
    many: int = MANY,
) -> Iterator[Result]:
    """What ``act`` makes of every item, in order; the first error ends it.

    From ``many`` items on they are acted upon in processes of their own, so that ``act``, items,
    results and errors must pickle, and ``act`` be importable. The processes end with this one,
    however it ends.

    Raises
    ------
    Unavailable: (``worker-died``) one of these processes was killed.
    """
    slices = [items[at : at + _SLICE] for at in range(0, len(items), _SLICE)]
    done = 0
    with ExitStack() as stack:
        run = partial(_here, act)
        if len(items) >= many:
            run = partial(_elsewhere, stack.enter_context(_Workers()), act)
        pool = stack.enter_context(ThreadPoolExecutor(WORKERS))
        for results in pool.map(run, slices):
            done += len(results)
            on_progress(done, len(items))
            yield from results


def _here(act: Callable[[Item], Result], some: Sequence[Item]) -> list[Result]:
    return [act(item) for item in some]


class _Workers:
    """Processes that wait for work at their standard input, and end when it ends."""

    def __enter__(self) -> _Workers:
        words = [sys.executable, "-P", "-c", _SERVE]
        self.idle: SimpleQueue[subprocess.Popen[bytes]] = SimpleQueue()
        self._all = []
        for _ in range(WORKERS):
            child = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            self._all.append(child)
            self.idle.put(child)
        return self

    def __exit__(self, *_: object) -> None:
        for child in self._all:
            child.kill()  # whatever it still does, nobody waits for; objects are whole or unnamed
            child.communicate()


def _elsewhere(workers: _Workers, act: Callable[[Item], Result], some: Sequence[Item]) -> Any:
    child = workers.idle.get()
    try:
        assert child.stdin is not None
        assert child.stdout is not None
        pickle.dump((act, some), child.stdin)
        child.stdin.flush()
        answer = pickle.load(child.stdout)  # noqa: S301 - our own child
    except (EOFError, BrokenPipeError, pickle.UnpicklingError):
        raise Unavailable(
            "worker-died",
            f"a process that reads files ended with {child.wait()}",
            context=f"process {child.pid}",
            hint="Perhaps memory ran out (`dmesg`); run it again: it goes on where it stopped.",
        ) from None
    finally:
        workers.idle.put(child)
    if isinstance(answer, Exception):
        raise answer
    return answer
