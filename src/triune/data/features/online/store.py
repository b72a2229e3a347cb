"""Feast's online-store interface on packed rows: its SDK reads and writes what serving reads.

    online_store:
      type: triune.data.features.online.store.PackedOnlineStore
      url: redis://127.0.0.1:6379/0
      password_file: .triune/secrets/valkey

A row older than its view's time to live is not found, so that serving sees what a point-in-time
join would give; ``enforce_ttl: false`` gives it all the same, as Feast's own stores do.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, urlsplit, urlunsplit

from feast import Entity, FeatureView
from feast.infra.online_stores.online_store import OnlineStore
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.repo_config import FeastConfigBaseModel, RepoConfig

from triune.data.features.online import keys
from triune.data.features.online.layout import ViewLayout, event_time
from triune.data.features.online.places import place
from triune.data.features.online.ports import Place
from triune.data.features.online.values import entity, packable, proto
from triune.data.features.online.writer import OnlineWriter, Row

Written = tuple[EntityKey, dict[str, Any], datetime, datetime | None]
Read = tuple[datetime | None, dict[str, Any] | None]


class PackedOnlineStoreConfig(FeastConfigBaseModel):  # type: ignore[misc]
    """Where the rows lie; the password is best kept in a file of its owner's."""

    type: Literal["triune.data.features.online.store.PackedOnlineStore"] = (
        "triune.data.features.online.store.PackedOnlineStore"
    )
    url: str
    password_file: str | None = None
    enforce_ttl: bool = True
    timeout: float = 5.0


class PackedOnlineStore(OnlineStore):  # type: ignore[misc]
    """Packed rows in SQLite, Valkey or a cluster, by the configured address."""

    _place: Place | None = None
    _layouts: dict[tuple[str, str], tuple[object, ViewLayout]]

    def __init__(self) -> None:
        self._layouts = {}

    def online_write_batch(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: list[Written],
        progress: Callable[[int], Any] | None,
    ) -> None:
        layout = self._layout(config, table)
        rows = [_row(layout, *one) for one in data]
        OnlineWriter(self._at(config)).write(layout, rows)
        if progress:
            progress(len(rows))

    def online_read(
        self,
        config: RepoConfig,
        table: FeatureView,
        entity_keys: list[EntityKey],
        requested_features: list[str] | None = None,
    ) -> list[Read]:
        layout = self._layout(config, table)
        order = sorted(layout.join_keys)
        begin = keys.prefix(layout.project, order)
        requests = [
            (keys.key(begin, entity(one, tuple(order))), (layout.field,)) for one in entity_keys
        ]
        oldest = None
        if config.online_store.enforce_ttl and layout.ttl_seconds:
            oldest = time.time_ns() // 1_000 - round(layout.ttl_seconds * 1e6)
        wanted = requested_features or [name for name, _ in layout.features]
        return [
            _decoded(layout, blob, wanted, oldest) for (blob,) in self._at(config).fetch(requests)
        ]

    def update(
        self,
        config: RepoConfig,
        tables_to_delete: Sequence[FeatureView],
        tables_to_keep: Sequence[FeatureView],
        entities_to_delete: Sequence[Entity],
        entities_to_keep: Sequence[Entity],
        partial: bool,
    ) -> None:
        """Rows stay: a release that serves may still read them. `teardown` removes them."""

    def teardown(
        self, config: RepoConfig, tables: Sequence[FeatureView], entities: Sequence[Entity]
    ) -> None:
        for table in tables:
            layout = self._layout(config, table)
            self._at(config).drop(layout.project, layout.field)

    def _at(self, config: RepoConfig) -> Place:
        if self._place is None:
            settings = config.online_store
            url = with_password(settings.url, settings.password_file, config.repo_path)
            self._place = place(url, timeout=settings.timeout)
        return self._place

    def _layout(self, config: RepoConfig, table: FeatureView) -> ViewLayout:
        """The layout of a view, worked out once for each of its definitions."""
        from triune.data.features.definitions import layout_of

        known = self._layouts.get((config.project, table.name))
        if known is None or known[0] is not table:
            root = Path(config.repo_path) if config.repo_path else Path.cwd()
            known = (table, layout_of(table, config.project, root))
            self._layouts[config.project, table.name] = known
        return known[1]


def with_password(url: str, file: str | None, root: Path | None) -> str:
    """The address with the password that a file holds."""
    if not file:
        return url
    path = Path(root or ".") / file
    parts = urlsplit(url)
    secret = quote(path.read_text(encoding="utf-8").strip(), safe="")
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f":{secret}@{host}"))


def _row(
    layout: ViewLayout,
    key: EntityKey,
    values: dict[str, Any],
    event: datetime,
    created: datetime | None,
) -> Row:
    empty = Value()
    return Row(
        entity(key, layout.join_keys),
        _microseconds(event),
        tuple(packable(kind, values.get(name, empty)) for name, kind in layout.features),
        _microseconds(created) if created is not None else None,
    )


def _decoded(
    layout: ViewLayout, blob: bytes | None, wanted: Sequence[str], oldest: int | None
) -> Read:
    if blob is None or (oldest is not None and event_time(blob) < oldest):
        return None, None
    values = layout.unpack(blob)
    found = {}
    for name in wanted:
        place_ = layout.place(name)
        found[name] = proto(layout.features[place_][1], values[place_])
    at = event_time(blob)
    return datetime.fromtimestamp(at // 1_000_000, UTC).replace(microsecond=at % 1_000_000), found


def _microseconds(moment: datetime) -> int:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    whole = int(aware.replace(microsecond=0).timestamp())
    return whole * 1_000_000 + aware.microsecond
