"""Answers about records: taking them in, giving them out, and where they are."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import Any, Protocol

from triune.data.broker.batches import BadBatch
from triune.data.broker.log import OffsetOutside, PartitionLog, Tell, Transactional
from triune.data.broker.producers import OldEpoch, OutOfOrder
from triune.data.broker.topics import Topics
from triune.data.broker.wire import OK, UNKNOWN, ErrorCode, Values

NO_ANSWER = 0
_EARLIEST, _LATEST = -2, -1
_REFUSALS: dict[type[Exception], ErrorCode] = {
    BadBatch: ErrorCode.corrupt_message,
    Transactional: ErrorCode.transactional_id_authorization_failed,
    OutOfOrder: ErrorCode.out_of_order_sequence_number,
    OldEpoch: ErrorCode.invalid_producer_epoch,
}


class Durable(Protocol):
    """Makes appended batches durable, and tells of it."""

    async def reach(self, log: PartitionLog, end: int) -> None:
        """Wait until everything before an offset is durable."""
        ...

    async def news(self, seconds: float) -> None:
        """Wait until something became durable, at most so long."""
        ...


class Records:
    """The records of one broker's topics."""

    def __init__(self, topics: Topics, durable: Durable, tell: Tell) -> None:
        self._topics = topics
        self._durable = durable
        self._tell = tell

    async def produce(self, body: Any) -> Values:
        async def one(topic: str, part: Any) -> Values:
            code, base = await self._append(topic, part.index, part.records or b"", body)
            return {"index": part.index, "error_code": code, "base_offset": base} | {
                "log_start_offset": -1,
                "record_errors": (),
            }

        responses = [
            {
                "name": topic.name,
                "partition_responses": await asyncio.gather(
                    *(one(topic.name, part) for part in topic.partition_data)
                ),
            }
            for topic in body.topic_data
        ]
        return {"responses": responses}

    async def _append(
        self, topic: str, partition: int, raw: bytes, body: Any
    ) -> tuple[ErrorCode, int]:
        log = self._topics.log(topic, partition)
        if log is None:
            return UNKNOWN, -1
        if body.transactional_id is not None:
            return _REFUSALS[Transactional], -1
        try:
            base, following = log.append(raw)
        except (BadBatch, Transactional, OutOfOrder, OldEpoch) as error:
            return _REFUSALS[type(error)], -1
        except OSError as error:
            self._tell(f"{topic}/{partition} cannot be written: {error}")
            return ErrorCode.kafka_storage_error, -1
        await self._durable.reach(log, following)
        return OK, base

    async def fetch(self, body: Any) -> Values:
        until = time.monotonic() + body.max_wait / timedelta(seconds=1)
        while True:
            responses, size, failed = self._read(body)
            left = until - time.monotonic()
            if size >= body.min_bytes or failed or left <= 0:
                return {"error_code": OK, "session_id": 0, "responses": responses}
            await self._durable.news(left)

    def _read(self, body: Any) -> tuple[list[Values], int, bool]:
        """What is there of all that is asked for, how much it is, and whether some is not."""
        responses, size, failed = [], 0, False
        for topic in body.topics:
            parts = []
            for part in topic.partitions:
                most = min(part.partition_max_bytes, body.max_bytes - size)
                found = self._records(topic.topic, part, most, first=not size)
                size += len(found["records"])
                failed = failed or found["error_code"] is not OK
                parts.append(found)
            responses.append({"topic": topic.topic, "partitions": parts})
        return responses, size, failed

    def _records(self, topic: str, part: Any, most: int, *, first: bool) -> Values:
        log = self._topics.log(topic, part.partition)
        code, raw = OK, b""
        if log is None:
            code = UNKNOWN
        else:
            try:
                raw = log.read(part.fetch_offset, most, whole=first)
            except OffsetOutside:
                code = ErrorCode.offset_out_of_range
        return {
            "partition_index": part.partition,
            "error_code": code,
            "high_watermark": -1 if log is None else log.durable,
            "last_stable_offset": -1 if log is None else log.durable,
            "log_start_offset": -1 if log is None else log.start,
            "aborted_transactions": None,
            "records": raw,
        }

    async def list_offsets(self, body: Any) -> Values:
        topics = [
            {
                "name": topic.name,
                "partitions": [self._offset(topic.name, p) for p in topic.partitions],
            }
            for topic in body.topics
        ]
        return {"topics": topics}

    def _offset(self, topic: str, part: Any) -> Values:
        log = self._topics.log(topic, part.partition_index)
        found: Values = {"partition_index": part.partition_index, "error_code": OK}
        if log is None:
            return found | {"error_code": UNKNOWN}
        if part.timestamp == _EARLIEST:
            return found | {"offset": log.start, "leader_epoch": 0}
        if part.timestamp == _LATEST:
            return found | {"offset": log.durable, "leader_epoch": 0}
        offset = log.at_time(part.timestamp)
        if offset is None:
            return found
        return found | {"offset": offset, "timestamp": part.timestamp, "leader_epoch": 0}

    async def cut(self, body: Any) -> Values:
        def one(topic: str, part: Any) -> Values:
            log = self._topics.log(topic, part.partition_index)
            found: Values = {"partition_index": part.partition_index, "low_watermark": -1}
            if log is None:
                return found | {"error_code": UNKNOWN}
            try:
                low = log.cut(log.durable if part.offset == -1 else part.offset)
            except OffsetOutside:
                return found | {"error_code": ErrorCode.offset_out_of_range}
            return found | {"error_code": OK, "low_watermark": low}

        topics = [
            {"name": topic.name, "partitions": [one(topic.name, part) for part in topic.partitions]}
            for topic in body.topics
        ]
        return {"topics": topics}
