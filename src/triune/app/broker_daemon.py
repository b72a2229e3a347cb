"""The daemon of the broker: the topics of a workspace, behind Kafka's protocol."""

from __future__ import annotations

import asyncio
import resource
import threading
from collections.abc import Callable

from triune.app import daemon
from triune.app.context import Context
from triune.core.files import locked, own_folder
from triune.data.broker.answers import Answers
from triune.data.broker.groups import Groups, ProducerNumbers
from triune.data.broker.management import Management
from triune.data.broker.progress import Progress
from triune.data.broker.records import Records
from triune.data.broker.server import Durability, Server
from triune.data.broker.topics import Topics
from triune.operations.services.ports import HOST

NAME = "broker"


def work(context: Context, stop: threading.Event, ready: Callable[[], None]) -> None:
    """Serve until told to stop, or until the disk fails: then what is there is read anew."""
    folder = context.workspace.engine(NAME)
    own_folder(folder)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a file for every 64 MiB of a topic
    with locked(folder / "lock"):
        asyncio.run(_serve(context, stop, ready))


async def _serve(context: Context, stop: threading.Event, ready: Callable[[], None]) -> None:
    folder, port = context.workspace.engine(NAME), context.addresses.port(NAME)
    failures: list[BaseException] = []
    ended = asyncio.Event()

    def fail(error: BaseException) -> None:
        failures.append(error)
        ended.set()

    topics, durability = Topics(folder / "topics", daemon.tell), Durability(fail)
    groups = Groups(folder / "groups.jsonl")
    answers = Answers(
        Records(topics, durability, daemon.tell),
        Management(
            topics,
            groups.forget,
            cluster=f"triune-{context.workspace.marker}",
            address=(HOST, port),
        ),
        Progress(topics, groups, ProducerNumbers(folder / "producers.json")),
    )
    waiting = asyncio.create_task(_wait(stop, ended))
    await Server(topics, answers, daemon.tell).run(HOST, port, ended, ready)
    if failures:
        raise failures[0]
    await waiting


async def _wait(stop: threading.Event, ended: asyncio.Event) -> None:
    await asyncio.to_thread(stop.wait)
    ended.set()


if __name__ == "__main__":
    daemon.main(NAME, work)
