"""Answers about clients: how far groups have come, and numbers for producers."""

from __future__ import annotations

from typing import Any

from triune.data.broker.groups import Commit, Groups, ProducerNumbers
from triune.data.broker.topics import Topics
from triune.data.broker.wire import OK, UNKNOWN, ErrorCode, Values


class Progress:
    """What the broker keeps for its clients."""

    def __init__(self, topics: Topics, groups: Groups, numbers: ProducerNumbers) -> None:
        self._topics = topics
        self._groups = groups
        self._numbers = numbers

    async def number(self, body: Any) -> Values:
        if body.transactional_id is not None:
            code = ErrorCode.transactional_id_authorization_failed
            return {"error_code": code, "producer_id": -1, "producer_epoch": -1}
        return {"error_code": OK, "producer_id": self._numbers.take(), "producer_epoch": 0}

    async def commit(self, body: Any) -> Values:
        commits: dict[tuple[str, int], Commit] = {}
        topics = []
        member = getattr(body, "member_id", "")
        for topic in body.topics:
            parts = []
            for part in topic.partitions:
                code = OK
                if member:
                    code = ErrorCode.unknown_member_id
                elif self._topics.log(topic.name, part.partition_index) is None:
                    code = UNKNOWN
                else:
                    made = Commit(part.committed_offset, part.committed_metadata)
                    commits[topic.name, part.partition_index] = made
                parts.append({"partition_index": part.partition_index, "error_code": code})
            topics.append({"name": topic.name, "partitions": parts})
        if commits:
            self._groups.commit(body.group_id, commits)
        return {"topics": topics}

    async def committed(self, body: Any) -> Values:
        known = self._groups.of(body.group_id)
        asked: dict[str, list[int]] = {}
        if body.topics is None:
            for topic, number in known:
                asked.setdefault(topic, []).append(number)
        else:
            asked = {topic.name: list(topic.partition_indexes) for topic in body.topics}
        topics = [
            {
                "name": topic,
                "partitions": [_told(n, known.get((topic, n))) for n in numbers],
            }
            for topic, numbers in asked.items()
        ]
        return {"topics": topics, "error_code": OK}


def _told(number: int, commit: Commit | None) -> Values:
    return {
        "partition_index": number,
        "committed_offset": -1 if commit is None else commit.offset,
        "metadata": "" if commit is None else commit.note,
        "error_code": OK,
    }
