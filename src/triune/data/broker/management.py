"""Answers about the broker and its topics: what there is, making and deleting."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from triune.data.broker.topics import MOST_PARTITIONS, RETENTION, Topics, is_name
from triune.data.broker.wire import OK, UNKNOWN, ErrorCode, Values

NODE = 1


class Management:
    """One broker that is its own controller and coordinator."""

    def __init__(
        self,
        topics: Topics,
        forget: Callable[[str], None],
        *,
        cluster: str,
        address: tuple[str, int],
    ) -> None:
        self._topics = topics
        self._forget = forget
        self._cluster = cluster
        self._host, self._port = address

    async def metadata(self, body: Any) -> Values:
        everything = body.topics is None or (type(body).__version__ == 0 and not body.topics)
        names = [t.name for t in self._topics] if everything else [t.name for t in body.topics]
        return {
            "brokers": [{"node_id": NODE, "host": self._host, "port": self._port}],
            "cluster_id": self._cluster,
            "controller_id": NODE,
            "topics": [self._described(name) for name in names],
        }

    def _described(self, name: str) -> Values:
        topic = self._topics.get(name)
        if topic is None:
            return {"error_code": UNKNOWN, "name": name, "partitions": ()}
        partitions = [
            {
                "error_code": OK,
                "partition_index": number,
                "leader_id": NODE,
                "leader_epoch": 0,
                "replica_nodes": (NODE,),
                "isr_nodes": (NODE,),
            }
            for number in range(len(topic.logs))
        ]
        return {"error_code": OK, "name": name, "partitions": partitions}

    async def coordinator(self, _: Any) -> Values:
        return {
            "error_code": OK,
            "error_message": None,
            "node_id": NODE,
            "host": self._host,
            "port": self._port,
        }

    async def create(self, body: Any) -> Values:
        made = [self._created(topic, dry=body.validate_only) for topic in body.topics]
        return {"topics": made}

    def _created(self, topic: Any, *, dry: bool) -> Values:
        settings = {one.name: one.value for one in topic.configs if one.value is not None}
        partitions = max(topic.num_partitions, 1)
        answer: Values = {
            "name": topic.name,
            "error_message": None,
            "num_partitions": partitions,
            "replication_factor": 1,
            "configs": (),
        }

        refusal = self._refusal(topic, partitions, settings)
        if refusal is not None:
            code, why = refusal
            return answer | {"error_code": code, "error_message": why}
        if not dry:
            self._topics.create(topic.name, partitions, settings)
        return answer | {"error_code": OK}

    def _refusal(
        self, topic: Any, partitions: int, settings: Mapping[str, str]
    ) -> tuple[ErrorCode, str] | None:
        """Why a topic cannot be made."""
        unknown = settings.keys() - {RETENTION}
        kept = settings.get(RETENTION, "-1").removeprefix("-")
        refusals = (
            (not is_name(topic.name), ErrorCode.invalid_topic_exception, "letters, digits, . _ -"),
            (topic.name in self._topics, ErrorCode.topic_already_exists, "it is there"),
            (partitions > MOST_PARTITIONS, ErrorCode.invalid_partitions, f"over {MOST_PARTITIONS}"),
            (topic.replication_factor > 1, ErrorCode.invalid_replication_factor, "one broker"),
            (bool(unknown), ErrorCode.invalid_config, f"not known: {', '.join(sorted(unknown))}"),
            (not kept.isdecimal(), ErrorCode.invalid_config, f"{RETENTION} is a whole number"),
        )
        return next(((code, why) for wrong, code, why in refusals if wrong), None)

    async def delete(self, body: Any) -> Values:
        responses = []
        for name in body.topic_names:
            code = OK
            try:
                self._topics.delete(name)
                self._forget(name)
            except KeyError:
                code = UNKNOWN
            responses.append({"name": name, "error_code": code})
        return {"responses": responses}
