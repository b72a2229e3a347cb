"""Who answers which request of Kafka's protocol."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from triune.data.broker.management import Management
from triune.data.broker.progress import Progress
from triune.data.broker.records import NO_ANSWER, Records
from triune.data.broker.wire import AT_ONCE, VERSIONS, ErrorCode, Request, frame

Answer = Callable[[Any], Awaitable[dict[str, Any]]]


class Answers:
    """The answers of one broker."""

    def __init__(self, records: Records, management: Management, progress: Progress) -> None:
        self._by_api: Mapping[int, Answer] = {
            0: records.produce,
            1: records.fetch,
            2: records.list_offsets,
            3: management.metadata,
            8: progress.commit,
            9: progress.committed,
            10: management.coordinator,
            18: self._versions,
            19: management.create,
            20: management.delete,
            21: records.cut,
            22: progress.number,
        }

    async def to(self, request: Request) -> bytes | None:
        """The answer; None where the client wants none."""
        if request.body is None:  # a version of that question that is not known: as Kafka says
            values = await self._versions(None) | {"error_code": ErrorCode.unsupported_version}
            return frame(request, values, version=0)
        values = await self._by_api[request.api](request.body)
        if request.api == 0 and request.body.acks == NO_ANSWER:
            return None
        return frame(request, {"throttle_time": AT_ONCE} | values)

    @staticmethod
    async def _versions(_: Any) -> dict[str, Any]:
        known = [
            {"api_key": api, "min_version": low, "max_version": high}
            for api, (low, high) in sorted(VERSIONS.items())
        ]
        return {"error_code": ErrorCode.none, "api_keys": known}
