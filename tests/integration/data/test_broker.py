"""The broker by Kafka's own client library, and by another written independently of it."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka import TopicPartition as AsyncPartition
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.support.broker import batch, running
from triune.core.waiting import wait_until

SETTINGS = {"group.id": "g", "enable.auto.commit": False, "auto.offset.reset": "error"}


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    with running(tmp_path / "broker") as where:
        yield where


def make(address: str, topic: str = "t", partitions: int = 1, **config: str) -> None:
    admin = AdminClient({"bootstrap.servers": address})
    admin.create_topics([NewTopic(topic, partitions, 1, config=config)])[topic].result(10)


def send(address: str, count: int, *, first: int = 0, **settings: object) -> None:
    producer = Producer({"bootstrap.servers": address, "acks": "all", **settings})
    for number in range(first, first + count):
        producer.produce("t", b"%d" % number, partition=0)
    assert producer.flush(30) == 0


def read(address: str, offset: int, count: int) -> list[tuple[int, bytes]]:
    consumer = Consumer({"bootstrap.servers": address, **SETTINGS})
    consumer.assign([TopicPartition("t", 0, offset)])
    found: list[tuple[int, bytes]] = []

    def more() -> bool:
        for one in consumer.consume(1000, 0.05):
            assert one.error() is None, one.error()
            found.append((one.offset() or 0, one.value() or b""))
        return len(found) >= count

    wait_until(more, timeout=30, what=f"{count} messages")
    consumer.close()
    return found


@pytest.mark.parametrize("compression", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_what_is_sent_is_read_in_every_compression(address: str, compression: str) -> None:
    make(address)
    send(address, 3000, **{"compression.type": compression, "enable.idempotence": True})
    assert read(address, 0, 3000) == [(n, b"%d" % n) for n in range(3000)]
    assert read(address, 1234, 1766)[0] == (1234, b"1234")


def test_the_newest_is_read_at_once_behind_thousands_of_batches(address: str) -> None:
    make(address)
    producer = Producer({"bootstrap.servers": address, "linger.ms": 0})
    for number in range(4000):
        producer.produce("t", b"%d" % number, partition=0)
        producer.flush()
    assert read(address, 3999, 1) == [(3999, b"3999")]
    assert read(address, 0, 4000)[-1] == (3999, b"3999")


def test_a_reader_that_waits_gets_it_when_it_comes(address: str) -> None:
    make(address)
    consumer = Consumer({"bootstrap.servers": address, **SETTINGS, "fetch.wait.max.ms": 20_000})
    consumer.assign([TopicPartition("t", 0, 0)])
    assert consumer.poll(0.5) is None
    begin = time.monotonic()
    send(address, 1)
    message = consumer.poll(15)
    assert message is not None
    assert message.value() == b"0"
    assert time.monotonic() - begin < 10
    consumer.close()


def test_ends_times_and_deleted_records(address: str) -> None:
    make(address)
    producer = Producer({"bootstrap.servers": address})
    for number in range(10):
        producer.produce("t", b"v", partition=0, timestamp=1_000_000 + number * 1000)
        producer.flush()
    consumer = Consumer({"bootstrap.servers": address, **SETTINGS})
    place = TopicPartition("t", 0)
    assert consumer.get_watermark_offsets(place, timeout=10) == (0, 10)
    asked = [TopicPartition("t", 0, moment) for moment in (0, 1_003_500, 2_000_000)]
    found = [consumer.offsets_for_times([one], timeout=10)[0].offset for one in asked]
    assert found == [0, 4, -1]
    admin = AdminClient({"bootstrap.servers": address})
    (deleted,) = admin.delete_records([TopicPartition("t", 0, 4)]).values()
    assert deleted.result(10).low_watermark == 4
    assert consumer.get_watermark_offsets(place, timeout=10) == (4, 10)
    consumer.assign([TopicPartition("t", 0, 1)])
    message = consumer.poll(10)
    assert message is not None
    assert message.error() is not None  # the policy is to say so
    consumer.close()


def test_topics_groups_and_numbers_outlive_the_broker(tmp_path: Path) -> None:
    with running(tmp_path / "broker") as address:
        make(address, partitions=3)
        send(address, 5)
        consumer = Consumer({"bootstrap.servers": address, **SETTINGS})
        consumer.commit(offsets=[TopicPartition("t", 0, 3)], asynchronous=False)
        consumer.close()
    with running(tmp_path / "broker") as address:
        consumer = Consumer({"bootstrap.servers": address, **SETTINGS})
        assert len(consumer.list_topics(timeout=10).topics["t"].partitions) == 3
        assert consumer.committed([TopicPartition("t", 0)], timeout=10)[0].offset == 3
        consumer.close()
        assert [value for _, value in read(address, 0, 5)] == [b"%d" % n for n in range(5)]
        admin = AdminClient({"bootstrap.servers": address})
        admin.delete_topics(["t"])["t"].result(10)
        assert "t" not in admin.list_topics(timeout=10).topics


@pytest.mark.parametrize(
    ("topic", "settings", "said"),
    [
        ("a/b", {}, "TOPIC_EXCEPTION"),
        ("..", {}, "TOPIC_EXCEPTION"),
        ("ok", {"cleanup.policy": "compact"}, "INVALID_CONFIG"),
        ("ok", {"retention.ms": "soon"}, "INVALID_CONFIG"),
        ("there", {}, "TOPIC_ALREADY_EXISTS"),
    ],
)
def test_a_topic_that_cannot_be_made_is_refused(
    address: str, topic: str, settings: dict[str, str], said: str
) -> None:
    make(address, "there")
    with pytest.raises(KafkaException) as refused:
        make(address, topic, **settings)
    assert said in str(refused.value)


def test_transactions_are_refused_not_half_done(address: str) -> None:
    make(address)
    producer = Producer({"bootstrap.servers": address, "transactional.id": "x"})
    with pytest.raises(KafkaException):
        producer.init_transactions(10)


def test_bytes_that_are_no_request_end_that_connection_alone(address: str) -> None:
    make(address)
    host, port = address.split(":")
    for raw in (
        b"GET / HTTP/1.1\r\n\r\n",
        struct.pack(">i", -1),
        struct.pack(">ihhi", 8, 99, 0, 1),
    ):
        with socket.create_connection((host, int(port)), timeout=10) as client:
            client.sendall(raw)
            assert client.recv(100) == b""
    send(address, 1)
    assert read(address, 0, 1) == [(0, b"0")]


def test_a_damaged_batch_is_refused_on_the_wire(address: str) -> None:
    make(address)
    raw = bytearray(batch([b"abc"]))
    raw[-2] ^= 1
    body = struct.pack(">h", -1) + struct.pack(">hi", -1, 1000) + struct.pack(">i", 1)
    body += struct.pack(">h", 1) + b"t" + struct.pack(">iii", 1, 0, len(raw)) + raw
    message = struct.pack(">hhih", 0, 3, 7, -1) + body
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), timeout=10) as client:
        client.sendall(struct.pack(">i", len(message)) + message)
        answer = client.recv(1000)
    place = 4 + 4 + 4 + 2 + 1 + 4 + 4  # size, correlation, topics, name, partitions, number
    assert struct.unpack_from(">h", answer, place) == (2,)  # CORRUPT_MESSAGE


def test_another_client_understands_it_too(address: str) -> None:
    make(address, partitions=2)

    async def both() -> list[bytes]:
        producer = AIOKafkaProducer(bootstrap_servers=address, enable_idempotence=True)
        await producer.start()
        for number in range(500):
            await producer.send("t", b"%d" % number, partition=number % 2)
        await producer.stop()
        consumer = AIOKafkaConsumer(bootstrap_servers=address, enable_auto_commit=False)
        await consumer.start()
        consumer.assign([AsyncPartition("t", 0), AsyncPartition("t", 1)])
        await consumer.seek_to_beginning()
        found = [(await asyncio.wait_for(consumer.getone(), 20)).value for _ in range(500)]
        await consumer.stop()
        return found

    assert sorted(map(int, asyncio.run(both()))) == list(range(500))
