"""The use case: replay an endpoint's traffic until told to stop."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from triune.app.replay import records
from triune.app.replay.model import Record, Request, Summary
from triune.app.replay.outcomes import Outcomes
from triune.app.replay.sender import Sender
from triune.core import entrypoints
from triune.core.config import slug
from triune.core.errors import NotFound, TriuneError
from triune.core.ids import new_id
from triune.core.workspace import Workspace

if TYPE_CHECKING:
    from triune.app.context import Context

TICK_SECONDS = 0.1
SUMMARY_SECONDS = 0.5
FLUSH_SECONDS = 30.0

OnProgress = Callable[[Summary], None]


def _silent(_: Summary) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How to replay.

    Attributes
    ----------
    rate: requests a second
    seconds: when to end: after ``rate * seconds`` requests; None replays until stopped
    hour_seconds: how many seconds an hour of recorded time takes until an outcome is told
    url: where to send; None is the endpoint at this workspace's gateway
    id: the name of the replay's files; None makes one up
    """

    rate: float = 200.0
    seconds: float | None = None
    hour_seconds: float = 1.0
    url: str | None = None
    id: str | None = None


def traffic(workspace: Workspace, endpoint: str) -> Callable[[], Iterator[Request]]:
    """A function that gives an endpoint's recorded requests from the beginning, again and again.

    Raises
    ------
    NotFound: ``endpoint-unknown``, ``endpoint-has-no-traffic``, ``dataset-absent``.
    EntryPointError: the workspace's code does not import.
    """
    config = workspace.config
    table = config.endpoints.get(endpoint)
    if table is None:
        raise NotFound(
            "endpoint-unknown",
            f"there is no endpoint {endpoint!r}",
            hint=f"Known: {', '.join(config.endpoints) or 'none'}.",
        )
    if table.traffic is None:
        raise NotFound(
            "endpoint-has-no-traffic",
            f"{endpoint} names no recorded traffic",
            hint=f'Set endpoints."{endpoint}".traffic to a function that yields requests.',
        )
    datasets = [t.dataset for t in config.trainings.values() if t.model == table.model]
    data = workspace.root / config.datasets[datasets[0]].path if datasets else workspace.root
    if not data.exists():
        raise NotFound(
            "dataset-absent",
            "the data that the traffic comes from is not there",
            context=str(data),
            hint=f"Run `triune data build {' '.join(datasets[:1])}`.",
        )
    function = entrypoints.load(table.traffic, workspace.root / config.workspace.code)
    return lambda: function(data)


def replay(
    ctx: Context,
    endpoint: str,
    settings: Settings | None = None,
    *,
    on_progress: OnProgress = _silent,
    stop_when: Callable[[], bool] = bool,
    prepare: Callable[[asyncio.Event], None] | None = None,
) -> Summary:
    """Send an endpoint's traffic at a steady rate; returns when the last answer is there.

    Ends after ``settings.seconds``, when ``stop_when()`` is true (asked ten times a second),
    or when the event that ``prepare`` was given is set. Whatever ends it, requests in flight
    are waited for and outcomes not yet due are told. The data is begun again when it ends.
    ``on_progress`` is called twice a second.

    Raises
    ------
    NotFound, EntryPointError: see `traffic`.
    Unavailable: (``ledger-flush-timeout``) outcomes stay in the journal for the next process.
    """
    wanted = settings or Settings()
    begin_again = traffic(ctx.workspace, endpoint)
    session = _Session(ctx, endpoint, wanted, on_progress, stop_when)
    try:
        asyncio.run(session.run(begin_again, prepare))
    except BaseException as error:
        session.summary.error = f"{type(error).__name__}: {error}"
        raise
    finally:
        session.close()
    ctx.ledger.flush(FLUSH_SECONDS)
    return session.summary


class _Session:
    """One replay under way."""

    def __init__(
        self,
        ctx: Context,
        endpoint: str,
        settings: Settings,
        on_progress: OnProgress,
        stop_when: Callable[[], bool],
    ) -> None:
        name = slug(endpoint)
        url = settings.url or f"{ctx.addresses.gateway_url}/{endpoint}/v2/models/{name}/infer"
        identifier = settings.id or new_id()
        path = records.folder(ctx.workspace) / f"{identifier}.jsonl"
        self.summary = Summary(
            id=identifier,
            endpoint=endpoint,
            url=url,
            rate=settings.rate,
            records=str(path),
            pid=os.getpid(),
            started=time.time(),
        )
        self._workspace = ctx.workspace
        self._seconds, self._rate = settings.seconds, settings.rate
        self._on_progress, self._stop_when = on_progress, stop_when
        self._file = records.RecordFile(path)
        self._outcomes = Outcomes(
            ctx.ledger.append, ctx.workspace.name, endpoint, settings.hour_seconds
        )
        table = ctx.workspace.config.endpoints[endpoint]
        datatypes = {column.name: column.datatype.value for column in table.inputs}
        self._sender = Sender(url, settings.rate, datatypes, self.summary, self._answered)

    async def run(
        self,
        begin_again: Callable[[], Iterator[Request]],
        prepare: Callable[[asyncio.Event], None] | None,
    ) -> None:
        stop = asyncio.Event()
        if prepare:
            prepare(stop)
        requests = await asyncio.to_thread(self._first_of, begin_again)
        if self._seconds is not None:
            requests = itertools.islice(requests, max(1, round(self._seconds * self._rate)))
        self.summary.started = time.time()
        ticking = asyncio.create_task(self._tick(stop))
        try:
            await self._sender.run(requests, stop)
        finally:
            stop.set()
            await ticking

    def _first_of(self, begin_again: Callable[[], Iterator[Request]]) -> Iterator[Request]:
        """The endless traffic; its first request is made here, since that takes a while."""
        records.write_summary(self._workspace, self.summary)
        rounds = self._rounds(begin_again)
        first = next(rounds, None)
        if first is None:
            raise TriuneError(
                "traffic-empty",
                f"the traffic function of {self.summary.endpoint} yields no request",
                hint="Check what it reads, and for which time.",
            )
        return itertools.chain([first], rounds)

    def _rounds(self, begin_again: Callable[[], Iterator[Request]]) -> Iterator[Request]:
        for number in itertools.count(1):
            self.summary.rounds = number
            empty = True
            for request in begin_again():
                empty = False
                yield request
            if empty:
                return

    async def _tick(self, stop: asyncio.Event) -> None:
        written = time.monotonic()
        while not stop.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK_SECONDS):
                    await stop.wait()
            now = time.monotonic()
            self._outcomes.tell(now)
            if self._stop_when():
                stop.set()
            if now - written >= SUMMARY_SECONDS:
                written = now
                self._refresh()
                await asyncio.to_thread(records.write_summary, self._workspace, self.summary)

    def _answered(self, request: Request, record: Record) -> None:
        self._file.append(record)
        if record.good:
            self._outcomes.expect(request, record.prediction, record.score, time.monotonic())

    def _refresh(self) -> None:
        self._file.flush()
        latest = sorted(self._sender.latest)
        if latest:
            self.summary.p50_ms = round(latest[len(latest) // 2] / 1000, 3)
            self.summary.p99_ms = round(latest[int(len(latest) * 0.99)] / 1000, 3)
        self.summary.updated = time.time()
        self.summary.outcomes = self._outcomes.told
        self.summary.outcomes_pending = self._outcomes.pending
        self._on_progress(self.summary)

    def close(self) -> None:
        """Tell what is left to tell, and write the files for the last time."""
        self._outcomes.tell_all()
        self._refresh()
        self._file.__exit__(None, None, None)
        self.summary.finished = time.time()
        records.write_summary(self._workspace, self.summary)
