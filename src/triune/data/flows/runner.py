"""Running the parts of a flow, with retries: by ourselves, or under a Prefect server.

Both wait before the n-th retry ``delay * 2**(n-1)`` seconds, and both stop at the first part that
has failed for good.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as Late

from triune.core.errors import TriuneError
from triune.core.flow_config import FlowTable
from triune.data.flows.model import Part, PartResult

OnPart = Callable[[str], None]
Sleep = Callable[[float], None]


def alone(
    parts: Sequence[Part], table: FlowTable, on_part: OnPart, sleep: Sleep = time.sleep
) -> list[PartResult]:
    """Run the parts here, one after the other."""
    results: list[PartResult] = []
    for part in parts:
        on_part(part.name)
        results.append(_one(part, table, on_part, sleep))
        if not results[-1].ok:
            break
    return results


def _one(part: Part, table: FlowTable, on_part: OnPart, sleep: Sleep) -> PartResult:
    begin, attempts, words = time.monotonic(), 0, ""
    while attempts <= table.retries:
        if attempts:
            pause = table.retry_delay_s * 2 ** (attempts - 1)
            on_part(f"{part.name}: again in {pause:g} s ({words})")
            sleep(pause)
        attempts += 1
        try:
            words = _within(part, table.timeout_s)
        except TriuneError as error:
            words = f"{error.reference}: {error.message}"
        except Late:
            words = f"flow-part-late: not within {table.timeout_s:g} seconds"
        else:
            return PartResult(part.name, True, attempts, time.monotonic() - begin, words)
    return PartResult(part.name, False, attempts, time.monotonic() - begin, words)


def _within(part: Part, seconds: float) -> str:
    """A part's words. One that is late is left behind: a thread cannot be stopped."""
    pool = ThreadPoolExecutor(1)
    try:
        return pool.submit(part.act).result(seconds)
    finally:
        pool.shutdown(wait=False)


def under_prefect(
    name: str, parts: Sequence[Part], table: FlowTable, on_part: OnPart
) -> list[PartResult]:
    """Run the parts as tasks of a Prefect flow, on the server that the environment names."""
    from prefect import flow, task

    results: list[PartResult] = []

    def run(part: Part) -> str:
        @task(
            name=part.name,
            retries=table.retries,
            retry_delay_seconds=[table.retry_delay_s * 2**n for n in range(table.retries)] or None,
            timeout_seconds=table.timeout_s,
        )
        def act() -> str:
            tries[0] += 1
            return part.act()

        tries = [0]
        begin = time.monotonic()
        try:
            words = act()
        except Exception as error:
            reference = getattr(error, "reference", type(error).__name__)
            words = f"{reference}: {getattr(error, 'message', error)}"
            results.append(PartResult(part.name, False, tries[0], time.monotonic() - begin, words))
            raise
        results.append(PartResult(part.name, True, tries[0], time.monotonic() - begin, words))
        return words

    @flow(name=name, log_prints=False)
    def whole() -> None:
        for part in parts:
            on_part(part.name)
            run(part)

    try:
        whole()
    except Exception:
        if not results or results[-1].ok:
            raise
    return results
