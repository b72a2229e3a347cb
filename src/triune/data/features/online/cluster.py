"""Online rows in a Redis or Valkey cluster: as on one node, through redis-py.

An entity's hash lies on one node, so a read of several entities goes to several nodes at once.
What one node promises, a cluster cannot: the rows of `apply` are written before the marks, and
a kill between the two lets the same rows be written again, which changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from triune.core.errors import Unavailable
from triune.data.features.online.connection import Server
from triune.data.features.online.ports import Request, Stored, moved
from triune.data.features.online.valkey import AT_ONCE, PUT, marker

SCHEME = "redis+cluster"


class ClusterPlace:
    """A `Place` on a cluster: ``redis+cluster://[user][:password@]host:port``, any of its nodes."""

    def __init__(self, url: str, *, timeout: float = 5.0) -> None:
        self._server = Server.of(urlunsplit(urlsplit(url)._replace(scheme="redis")))
        self._timeout = timeout
        self._made: Any = None

    def fetch(self, requests: Sequence[Request]) -> list[list[bytes | None]]:
        def act(client: Any) -> list[list[bytes | None]]:
            pipeline = client.pipeline()
            for key, fields in requests:
                pipeline.hmget(key, fields)
            return list(pipeline.execute())

        return self._run(act) if requests else []

    def put(self, rows: Iterable[Stored]) -> int:
        written, remaining = 0, iter(rows)
        while some := list(islice(remaining, AT_ONCE)):
            written += self._run(lambda client, some=some: _write(client, some))
        return written

    def apply(
        self,
        project: str,
        stream: str,
        marks: Mapping[str, int],
        rows: Sequence[Stored],
        *,
        expect: Mapping[str, int | None],
    ) -> int:
        found = self.marks(project, stream)
        if any(found.get(name) != value for name, value in expect.items()):
            raise moved(stream)
        written = self.put(rows)
        if marks:
            self._run(lambda c: c.hset(marker(project, stream), mapping=dict(marks)))
        return written

    def marks(self, project: str, stream: str) -> dict[str, int]:
        found = self._run(lambda c: c.hgetall(marker(project, stream)))
        return {name.decode(): int(value) for name, value in found.items()}

    def forget(self, project: str, stream: str) -> None:
        self._run(lambda c: c.delete(marker(project, stream)))

    def drop(self, project: str, field: bytes) -> int:
        def act(client: Any) -> int:
            found = client.scan_iter(project.encode() + b"\0*", _type="hash")
            return sum(client.hdel(key, field) for key in found)

        return int(self._run(act))

    def close(self) -> None:
        if self._made is not None:
            self._made.close()
            self._made = None

    def _run(self, act: Any) -> Any:
        from redis.exceptions import RedisError

        try:
            return act(self._client())
        except (RedisError, OSError) as error:
            raise Unavailable(
                "online-store-unreachable",
                f"the online store does not answer: {error}",
                context=f"{self._server.host}:{self._server.port}",
                hint="Does the cluster's address answer, and are all of its slots served?",
            ) from error

    def _client(self) -> Any:
        from redis.cluster import RedisCluster

        if self._made is None:
            self._made = RedisCluster(
                host=self._server.host,
                port=self._server.port,
                username=self._server.user or None,
                password=self._server.password or None,
                socket_timeout=self._timeout,
                socket_connect_timeout=self._timeout,
            )
        return self._made


def _write(client: Any, rows: Sequence[Stored]) -> int:
    pipeline = client.pipeline()
    for row in rows:
        pipeline.execute_command("EVAL", PUT, 1, row.key, row.field, row.row)
    return sum(pipeline.execute())
