"""Envoy as the gateway, told by files it follows and asked by its admin interface.

Order of a change (make before break): clusters are added and awaited, then the routes are
replaced in one rename and awaited, and only `prune` takes clusters away.
"""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from triune.core.errors import Unavailable
from triune.core.files import read_json, write_atomic
from triune.core.waiting import wait_until
from triune.delivery.gateway.backends import envoy_readings as readings
from triune.delivery.gateway.backends import envoy_resources as resources
from triune.delivery.gateway.backends.envoy_bootstrap import CLUSTERS_FILE, ROUTES_FILE, watched
from triune.delivery.gateway.model import Counters, Snapshot, Table

_ANSWER_SECONDS = 2.0
_HINT = "See `triune status` and `triune logs envoy`; `triune up` starts it."


class EnvoyGateway:
    """One Envoy, by its folder (see `envoy_bootstrap`) and its admin port on loopback."""

    def __init__(self, folder: Path, admin_port: int, *, live_seconds: float = 5.0) -> None:
        self._xds = watched(folder)
        self._admin_port = admin_port
        self._live_seconds = live_seconds

    def apply(self, table: Table) -> None:
        wanted = {cluster["name"]: cluster for cluster in _clusters(table)}
        kept = {cluster["name"]: cluster for cluster in self._written(CLUSTERS_FILE)}
        self._write(CLUSTERS_FILE, list((kept | wanted).values()))
        self._await("its upstreams", lambda: self._clusters_live(wanted))
        version = self._write(ROUTES_FILE, resources.routes(table)["resources"])
        self._await("its routes", lambda: self._routes_version() == version)

    def prune(self, table: Table) -> None:
        version = self._write(CLUSTERS_FILE, _clusters(table))
        self._await("fewer upstreams", lambda: self._clusters_version() == version)

    def in_flight(self, upstream: str) -> int:
        names = ("upstream_rq_active", "upstream_rq_pending_active")
        return self._stats(upstream, *names) + self._stats(resources.mirror(upstream), *names)

    def counters(self, upstream: str) -> Counters:
        return Counters(
            total=self._stats(upstream, "upstream_rq_completed"),
            errors=self._stats(upstream, "upstream_rq_5xx"),
        )

    def snapshot(self) -> Snapshot:
        """See the port. As old as `envoy_bootstrap.READINGS_SECONDS` at most.

        Both questions are asked over one connection: one process answered them.
        """
        with self._admin() as ask:
            epoch = readings.start(json.loads(ask(readings.START_PATH)))
            tallies = readings.tallies(json.loads(ask(readings.STATS_PATH)))
        return Snapshot(epoch, tallies)

    def reopen_logs(self) -> None:
        """Make Envoy open its access log anew, after the old one was renamed."""
        self._ask("/reopen_logs", method="POST")

    def _written(self, name: str) -> list[dict[str, Any]]:
        content = read_json(self._xds / name) or {}
        return list(content.get("resources", []))

    def _write(self, name: str, content: list[dict[str, Any]]) -> str:
        """Replace a file that Envoy follows, unless it says the same; returns its version."""
        file = resources.discovery(sorted(content, key=lambda item: str(item["name"])))
        path = self._xds / name
        if read_json(path) != file:
            write_atomic(path, json.dumps(file))
        return str(file["version_info"])

    def _await(self, what: str, live: Any) -> None:
        try:
            wait_until(
                live, timeout=self._live_seconds, what=what, first_pause=0.001, longest_pause=0.05
            )
        except Unavailable as error:
            if error.reference != "wait-timed-out":
                raise
            raise Unavailable(
                "gateway-not-live",
                f"Envoy did not take {what} within {self._live_seconds:g} seconds",
                context=str(self._xds),
                hint=_HINT,
            ) from error

    def _clusters_live(self, wanted: dict[str, dict[str, Any]]) -> bool:
        active = {
            entry["cluster"]["name"]: entry["cluster"]
            for entry in self._dump("dynamic_active_clusters")
        }
        return all(
            name in active and _address(active[name]) == _address(cluster)
            for name, cluster in wanted.items()
        )

    def _clusters_version(self) -> str:
        for section in self._ask_json("/config_dump")["configs"]:
            if section["@type"].endswith("ClustersConfigDump"):
                return str(section.get("version_info", ""))
        return ""

    def _routes_version(self) -> str:
        for entry in self._dump("dynamic_route_configs"):
            if entry.get("route_config", {}).get("name") == resources.ROUTES_NAME:
                return str(entry.get("version_info", ""))
        return ""

    def _dump(self, resource: str) -> list[dict[str, Any]]:
        answer = self._ask_json(f"/config_dump?resource={resource}")
        return list(answer.get("configs", []))

    def _stats(self, upstream: str, *names: str) -> int:
        pattern = rf"^cluster\.{re.escape(upstream)}\.({'|'.join(names)})$"
        answer = self._ask_json(f"/stats?format=json&filter={quote(pattern)}")
        return sum(int(stat["value"]) for stat in answer["stats"] if "name" in stat)

    def _ask_json(self, path: str) -> Any:
        return json.loads(self._ask(path))

    def _ask(self, path: str, *, method: str = "GET") -> bytes:
        with self._admin() as ask:
            return ask(path, method)

    @contextmanager
    def _admin(self) -> Iterator[_Ask]:
        """Asks over one connection, which is never made anew in between."""
        connection = http.client.HTTPConnection(
            "127.0.0.1", self._admin_port, timeout=_ANSWER_SECONDS
        )

        def ask(path: str, method: str = "GET") -> bytes:
            try:
                connection.request(method, path)
                connection.auto_open = 0
                answer = connection.getresponse()
                body = answer.read()
            except (OSError, http.client.HTTPException) as error:
                raise self._unreachable(f"does not answer: {error!r}", path) from error
            if answer.status != http.client.OK:
                raise self._unreachable(f"answered {answer.status}", path)
            return body

        try:
            yield ask
        finally:
            connection.close()

    def _unreachable(self, what: str, path: str) -> Unavailable:
        return Unavailable(
            "gateway-unreachable",
            f"Envoy's admin interface {what}",
            context=f"127.0.0.1:{self._admin_port}{path}",
            hint=_HINT,
        )


class _Ask(Protocol):
    """Sends one request to the admin interface; raises `Unavailable` unless answered 200."""

    def __call__(self, path: str, method: str = "GET") -> bytes: ...


def _clusters(table: Table) -> list[dict[str, Any]]:
    return list(resources.clusters(table)["resources"])


def _address(cluster: dict[str, Any]) -> Any:
    endpoints = cluster["load_assignment"]["endpoints"]
    return endpoints[0]["lb_endpoints"][0]["endpoint"]["address"]["socket_address"]
