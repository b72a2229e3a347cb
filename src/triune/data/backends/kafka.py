"""A broker by Kafka's protocol, through librdkafka."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from triune.core.errors import Unavailable
from triune.data.streams.ports import Message, Outgoing

GROUP = "triune"
_AT_ONCE = 2_000
_FATAL = frozenset({KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT, KafkaError._TIMED_OUT})


class KafkaBroker:
    """The broker at ``host:port``. ``timeout`` in seconds, for each answer that is waited for."""

    def __init__(self, address: str, *, timeout: float = 10.0) -> None:
        self._address = address
        self._timeout = timeout

    def ensure(self, topic: str, partitions: int) -> int:
        known = self._partitions(topic)
        if known:
            return len(known)
        asked = self._admin.create_topics([NewTopic(topic, partitions, 1)])
        try:
            asked[topic].result(self._timeout)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise self._away(error) from error
        except TimeoutError as error:
            raise self._away(error) from error
        return len(self._partitions(topic)) or partitions

    def ends(self, topic: str) -> dict[int, tuple[int, int]]:
        try:
            return {number: self._end(topic, number) for number in self._partitions(topic)}
        except KafkaException as error:
            raise self._away(error) from error

    def _end(self, topic: str, number: int) -> tuple[int, int]:
        """First offset and the one behind the last."""
        place = TopicPartition(topic, number)
        first, end = self._asking.get_watermark_offsets(place, timeout=self._timeout)
        return first, end

    def send(self, topic: str, messages: Sequence[Outgoing]) -> dict[int, int]:
        failed: list[Any] = []
        ends: dict[int, int] = {}

        def delivered(error: Any, message: Any) -> None:
            if error is not None:
                failed.append(error)
            else:
                number = message.partition()
                ends[number] = max(ends.get(number, 0), message.offset() + 1)

        for message in messages:
            self._put(topic, message, delivered)
        left = self._producer.flush(self._timeout + len(messages) / 1000)
        if failed or left:
            raise self._away(failed[0] if failed else f"{left} messages were not acknowledged")
        return ends

    def _put(self, topic: str, message: Outgoing, delivered: Any) -> None:
        where: dict[str, Any] = {}
        if message.partition is not None:
            where["partition"] = message.partition
        while True:
            try:
                self._producer.produce(
                    topic,
                    message.value,
                    message.key,
                    headers=list(message.headers.items()),
                    on_delivery=delivered,
                    **where,
                )
            except BufferError:  # the queue is full: let some be acknowledged first
                self._producer.poll(0.1)
            else:
                self._producer.poll(0)
                return

    def read(self, topic: str, offsets: Mapping[int, int]) -> KafkaReader:
        return KafkaReader(self._address, topic, offsets)

    def close(self) -> None:
        for name in ("_asking", "_producer", "_admin"):
            made = self.__dict__.pop(name, None)
            if made is not None and hasattr(made, "close"):
                made.close()

    def _partitions(self, topic: str) -> list[int]:
        try:
            found = self._admin.list_topics(timeout=self._timeout).topics.get(topic)
        except KafkaException as error:
            raise self._away(error) from error
        return [] if found is None else sorted(found.partitions)

    @cached_property
    def _admin(self) -> AdminClient:
        return AdminClient(_settings(self._address))

    @cached_property
    def _producer(self) -> Producer:
        return Producer(
            _settings(self._address)
            | {
                "acks": "all",
                "linger.ms": 2,
                "enable.idempotence": True,
                "message.timeout.ms": round(self._timeout * 1000),
            }
        )

    @cached_property
    def _asking(self) -> Consumer:
        return Consumer(_settings(self._address) | {"group.id": GROUP, "enable.auto.commit": False})

    def _away(self, error: object) -> Unavailable:
        return Unavailable(
            "broker-unreachable",
            f"the broker does not answer: {error}",
            context=self._address,
            hint="`triune up` starts it; `triune logs broker` shows what it says.",
        )


class KafkaReader:
    """Partitions of a topic by assignment: no group is joined, which takes seconds."""

    def __init__(self, address: str, topic: str, offsets: Mapping[int, int]) -> None:
        self._topic = topic
        self._address = address
        self._consumer = Consumer(
            _settings(address)
            | {
                "group.id": GROUP,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "fetch.error.backoff.ms": 100,
                "queued.min.messages": 10_000,
            }
        )
        self._consumer.assign([TopicPartition(topic, p, at) for p, at in offsets.items()])

    def poll(self, seconds: float) -> list[Message]:
        first = self._consumer.poll(seconds)
        if first is None:
            return []
        more = self._consumer.consume(_AT_ONCE, timeout=0)
        return [_message(one) for one in (first, *more) if self._good(one)]

    def _good(self, message: Any) -> bool:
        error = message.error()
        if error is None:
            return True
        if error.code() in _FATAL or error.fatal():
            raise Unavailable(
                "broker-unreachable",
                f"the broker does not answer: {error}",
                context=self._address,
                hint="`triune up` starts it; `triune logs broker` shows what it says.",
            )
        return False

    def committed(self, offsets: Mapping[int, int]) -> None:
        self._consumer.commit(
            offsets=[TopicPartition(self._topic, p, at) for p, at in offsets.items()],
            asynchronous=True,
        )

    def close(self) -> None:
        self._consumer.close()


def _settings(address: str) -> dict[str, Any]:
    return {
        "bootstrap.servers": address,
        "client.id": "triune",
        "socket.keepalive.enable": True,
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 1_000,
        "log_level": 2,
    }


def _message(raw: Any) -> Message:
    headers = {name: value or b"" for name, value in raw.headers() or ()}
    kind, stamp = raw.timestamp()
    at = stamp if kind else round(time.time() * 1000)
    return Message(raw.partition(), raw.offset(), raw.key(), raw.value(), headers, at)
