"""Record batches made by hand, and a broker of a folder: here, or in a process to be killed."""

from __future__ import annotations

import asyncio
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from crc32c import crc32c

from tests.support.ports import free_port
from triune.core.waiting import wait_until
from triune.data.broker.answers import Answers
from triune.data.broker.batches import head
from triune.data.broker.groups import Groups, ProducerNumbers
from triune.data.broker.log import PartitionLog
from triune.data.broker.management import Management
from triune.data.broker.progress import Progress
from triune.data.broker.records import Records
from triune.data.broker.server import Durability, Server
from triune.data.broker.topics import Topics

HOST = "127.0.0.1"


def varint(value: int) -> bytes:
    """Zigzag, seven bits a byte."""
    left, out = (value << 1) ^ (value >> 63), bytearray()
    while left > 0x7F:
        out.append((left & 0x7F) | 0x80)
        left >>= 7
    return bytes([*out, left])


def batch(
    values: Sequence[bytes],
    *,
    times: Sequence[int] | None = None,
    producer: tuple[int, int, int] = (-1, -1, -1),
    attributes: int = 0,
) -> bytes:
    """A batch of version 2, as a client sends it; ``producer`` is number, epoch and sequence."""
    moments = list(times or [0] * len(values))
    body = b""
    for delta, (value, moment) in enumerate(zip(values, moments, strict=True)):
        record = b"\0" + varint(moment - moments[0]) + varint(delta) + varint(-1)
        record += varint(len(value)) + value + varint(0)
        body += varint(len(record)) + record
    checked = struct.pack(
        ">hiqqqhii", attributes, len(values) - 1, moments[0], max(moments), *producer, len(values)
    )  # fmt: skip
    checked += body
    return struct.pack(">qiibI", 0, len(checked) + 9, -1, 2, crc32c(checked)) + checked


def values(raw: bytes) -> list[tuple[int, bytes]]:
    """Offset and value of every record in whole batches made by `batch`."""
    found, at = [], 0
    while at < len(raw):
        one = head(raw, at)
        place = at + 61
        for number in range(one.records):
            length, place = _read(raw, place)
            end, place = place + length, place + 1
            for _ in range(3):  # time, offset, key
                _, place = _read(raw, place)
            size, place = _read(raw, place)
            found.append((one.base + number, raw[place : place + size]))
            place = end
        at += one.size
    return found


def _read(raw: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (raw[at] & 0x7F) << shift
        shift += 7
        at += 1
        if raw[at - 1] < 0x80:
            return (value >> 1) ^ -(value & 1), at


def settle(log: PartitionLog) -> None:
    """Make everything appended durable."""
    log.sync()()


def answering(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


async def serve(folder: Path, port: int, stop: asyncio.Event) -> None:
    """A whole broker."""
    topics, durability = Topics(folder / "topics", print), Durability(lambda _: stop.set())
    groups = Groups(folder / "groups.jsonl")
    answers = Answers(
        Records(topics, durability, print),
        Management(topics, groups.forget, cluster="test", address=(HOST, port)),
        Progress(topics, groups, ProducerNumbers(folder / "producers.json")),
    )
    await Server(topics, answers, print).run(HOST, port, stop, lambda: None)


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """A broker in a thread; its address."""
    folder.mkdir(parents=True, exist_ok=True)
    port, loop, stop = free_port(), asyncio.new_event_loop(), asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(serve(folder, port, stop),))
    thread.start()
    try:
        wait_until(lambda: answering(port), timeout=20, what="the broker to answer")
        yield f"{HOST}:{port}"
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


def spawn(folder: Path, port: int) -> subprocess.Popen[bytes]:
    """A broker in a process of its own; it answers when this returns."""
    words = [sys.executable, "-m", "tests.support.broker", str(folder), str(port)]
    process = subprocess.Popen(words)
    wait_until(lambda: answering(port), timeout=30, what="the broker to answer")
    return process


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2]), asyncio.Event()))
