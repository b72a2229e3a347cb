"""kill -9 of the broker while it is written to: what it acknowledged is there, once, in order."""

from __future__ import annotations

import signal
import threading
from functools import partial
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.support.broker import HOST, spawn
from tests.support.ports import free_port
from triune.core.waiting import wait_until

pytestmark = [pytest.mark.engine, pytest.mark.slow]

KILLS, EACH = 6, 1500


def test_everything_acknowledged_is_there_once_and_in_order(tmp_path: Path) -> None:
    port = free_port()
    address = f"{HOST}:{port}"
    process = spawn(tmp_path, port)
    admin = AdminClient({"bootstrap.servers": address})
    admin.create_topics([NewTopic("t", 1, 1)])["t"].result(10)
    acknowledged: list[int] = []
    producer = Producer(
        {
            "bootstrap.servers": address,
            "enable.idempotence": True,
            "linger.ms": 1,
            "reconnect.backoff.max.ms": 200,
            "message.timeout.ms": 120_000,
        }
    )
    total = KILLS * EACH

    def sent(error: object, message: object) -> None:
        assert error is None, error
        acknowledged.append(len(acknowledged))

    def produce() -> None:
        for number in range(total):
            producer.produce("t", b"%d" % number, on_delivery=sent)
            if number % 10 == 0:
                producer.poll(0.002)
        producer.flush(120)

    def reached(count: int) -> bool:
        return len(acknowledged) >= count

    producing = threading.Thread(target=produce)
    producing.start()
    try:
        for place in range(1, KILLS):
            wait_until(partial(reached, place * EACH), timeout=60, what="more to be acknowledged")
            process.send_signal(signal.SIGKILL)
            process.wait()
            process = spawn(tmp_path, port)
        producing.join()
        assert len(acknowledged) == total
        consumer = Consumer({"bootstrap.servers": address, "group.id": "g"})
        consumer.assign([TopicPartition("t", 0, 0)])
        found: list[int] = []

        def more() -> bool:
            found.extend(int(one.value() or b"-1") for one in consumer.consume(2000, 0.05))
            return len(found) >= total

        wait_until(more, timeout=60, what="all messages")
        assert consumer.get_watermark_offsets(TopicPartition("t", 0), timeout=10) == (0, total)
        assert found == list(range(total))
        consumer.close()
    finally:
        process.kill()
        process.wait()
