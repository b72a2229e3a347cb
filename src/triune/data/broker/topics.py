"""All topics of a broker: a folder for each, with one for each partition."""

from __future__ import annotations

import re
import shutil
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from triune.core.files import read_json, sync_folder, write_json
from triune.data.broker.log import PartitionLog, Tell

RETENTION = "retention.ms"
_NAME = re.compile(r"[A-Za-z0-9._-]{1,249}")
_FILE = "topic.json"
MOST_PARTITIONS = 1_000


@dataclass(slots=True)
class Topic:
    """A topic: its partitions by number, and its settings as Kafka names them."""

    name: str
    logs: list[PartitionLog]
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def retention_ms(self) -> int:
        """How long records are kept at least; -1: always."""
        return int(self.settings.get(RETENTION, "-1"))


class Topics:
    """The topics in a folder. One process at a time, one thread."""

    def __init__(self, folder: Path, tell: Tell) -> None:
        self._folder = folder
        self._tell = tell
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(".*"):
            shutil.rmtree(left)  # a creation or a deletion that was killed
        self._topics = {path.parent.name: self._open(path) for path in folder.glob(f"*/{_FILE}")}

    def _open(self, path: Path) -> Topic:
        told = read_json(path)
        logs = [
            PartitionLog(path.parent / str(number), self._tell)
            for number in range(told["partitions"])
        ]
        return Topic(path.parent.name, logs, told["settings"])

    def __iter__(self) -> Iterator[Topic]:
        return iter(self._topics.values())

    def __contains__(self, name: str) -> bool:
        return name in self._topics

    def get(self, name: str) -> Topic | None:
        """A topic by its name."""
        return self._topics.get(name)

    def log(self, name: str, partition: int) -> PartitionLog | None:
        """A partition, if there is one."""
        topic = self._topics.get(name)
        there = topic is not None and 0 <= partition < len(topic.logs)
        return topic.logs[partition] if topic is not None and there else None

    def create(self, name: str, partitions: int, settings: Mapping[str, str]) -> Topic:
        """A new topic; it is there whole or not at all.

        Raises
        ------
        ValueError: Kafka would not take the name either.
        FileExistsError: it is there.
        """
        if not is_name(name):
            raise ValueError(name)
        if name in self._topics:
            raise FileExistsError(name)
        fresh = self._folder / f".{uuid.uuid4().hex}"
        fresh.mkdir()
        write_json(fresh / _FILE, {"partitions": partitions, "settings": dict(settings)})
        fresh.rename(self._folder / name)
        made = self._topics[name] = self._open(self._folder / name / _FILE)
        sync_folder(self._folder / name)
        sync_folder(self._folder)
        return made

    def delete(self, name: str) -> None:
        """Remove a topic with all its records. Raises KeyError."""
        del self._topics[name]
        gone = (self._folder / name).rename(self._folder / f".{uuid.uuid4().hex}")
        shutil.rmtree(gone)

    def expire(self) -> None:
        """Forget what is older than its topic keeps."""
        for topic in self:
            if topic.retention_ms >= 0:
                for log in topic.logs:
                    log.expire(topic.retention_ms)


def is_name(name: str) -> bool:
    """Whether a topic can have this name."""
    return _NAME.fullmatch(name) is not None and name not in (".", "..")
