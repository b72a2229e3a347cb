"""Feast's own view of the store: its registry, pointed at our engines. Imports Feast."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from triune.core.errors import TriuneError
from triune.data.features.intervals import Interval

OFFLINE = "triune.data.features.offline.DuckDBOfflineStore"
ONLINE = "triune.data.features.online.store.PackedOnlineStore"


@dataclass(frozen=True, slots=True)
class Settings:
    """Where things are.

    Attributes
    ----------
    registry: SQLAlchemy URL of Feast's registry
    online: address of the online store without its password
    password_file: the file with that password, if it has one
    """

    project: str
    root: Path
    registry: str
    online: str
    password_file: Path | None = None


def table(settings: Settings) -> dict[str, Any]:
    """The contents of a ``feature_store.yaml`` for plain Feast; no password in it but the
    registry's, where that has one."""
    online: dict[str, Any] = {"type": ONLINE, "url": settings.online}
    if settings.password_file is not None:
        online["password_file"] = str(settings.password_file)
    return {
        "project": settings.project,
        "provider": "local",
        "registry": {"registry_type": "sql", "path": settings.registry, "cache_ttl_seconds": 0},
        "online_store": online,
        "offline_store": {"type": OFFLINE},
        "entity_key_serialization_version": 3,
    }


def open_store(settings: Settings) -> Any:
    """A `feast.FeatureStore` on our engines."""
    os.environ.setdefault("FEAST_USAGE", "False")
    from feast import FeatureStore, RepoConfig

    config = RepoConfig(**table(settings))
    config.repo_path = settings.root
    return FeatureStore(repo_path=str(settings.root), config=config)


def apply(
    settings: Settings,
    objects: Sequence[Any],
    *,
    changed: Sequence[str] = (),
    intervals: Mapping[str, Sequence[Interval]] | None = None,
) -> None:
    """Make Feast's registry say what the definitions say; idempotent.

    ``changed`` names views of which there is another version now: what the registry knows of the
    old version's materialisations is dropped. ``intervals`` is what `tell` takes.

    Raises
    ------
    TriuneError: (``feast-failed``) with what Feast said.
    """
    try:
        _apply(settings, objects, changed)
        _tell(settings, intervals or {})
    except Exception as error:
        raise TriuneError(
            "feast-failed",
            f"Feast does not take the definitions: {type(error).__name__}: {error}",
            context=str(settings.root),
            hint="`triune status` shows whether its registry's database runs; else mend what it "
            "names in the definitions.",
        ) from error


def tell(settings: Settings, intervals: Mapping[str, Sequence[Interval]]) -> None:
    """Tell Feast's registry which times of each view were materialised, where it does not know.

    Idempotent. The registry is read and written in two steps: one caller at a time.

    Raises
    ------
    TriuneError: (``feast-registry-behind``) with what Feast said.
    """
    try:
        _tell(settings, intervals)
    except Exception as error:
        raise TriuneError(
            "feast-registry-behind",
            "the rows are online and in the ledger, but Feast's registry could not be told: "
            f"{type(error).__name__}: {error}",
            context=str(settings.root),
            hint="`triune status` shows whether its database runs. The next `triune features "
            "materialize` or `apply` tells it what it lacks.",
        ) from error


def forget(settings: Settings, names: Sequence[str]) -> None:
    """Tell Feast's registry that nothing of these views is online any more.

    Idempotent; a view that the registry does not know is no mistake. One caller at a time.

    Raises
    ------
    TriuneError: (``feast-registry-behind``) with what Feast said.
    """
    try:
        registry = open_store(settings).registry
        for view in registry.list_feature_views(settings.project, allow_cache=False):
            if view.name in names and view.materialization_intervals:
                registry.delete_feature_view(view.name, settings.project)
                view.materialization_intervals = []
                registry.apply_feature_view(view, settings.project)
    except Exception as error:
        raise TriuneError(
            "feast-registry-behind",
            "the rows are gone, and the ledger knows, but Feast's registry could not be told: "
            f"{type(error).__name__}: {error}",
            context=str(settings.root),
            hint="`triune status` shows whether its database runs. Clear again then.",
        ) from error


def _tell(settings: Settings, intervals: Mapping[str, Sequence[Interval]]) -> None:
    if not intervals:
        return
    registry = open_store(settings).registry
    for name, told in intervals.items():
        view = registry.get_feature_view(name, settings.project, allow_cache=False)
        known = set(view.materialization_intervals)
        for start, end in told:
            if (start, end) not in known:
                registry.apply_materialization(view, settings.project, start, end)


def _apply(settings: Settings, objects: Sequence[Any], changed: Sequence[str]) -> None:
    from feast import Entity, FeatureService, FeatureView
    from feast.data_source import DataSource

    store = open_store(settings)
    named = {(type(one), one.name) for one in objects}
    known = [*store.list_feature_services(), *store.list_batch_feature_views()]
    gone = [one for one in known if (type(one), one.name) not in named]
    _forget(store, {one.name for one in known if isinstance(one, FeatureView)} & set(changed))
    kinds = (Entity, DataSource, FeatureView, FeatureService)
    store.apply(
        [one for one in objects if isinstance(one, kinds)], objects_to_delete=gone, partial=not gone
    )


def _forget(store: Any, names: Collection[str]) -> None:
    """Drop views before they are applied again: else Feast carries their materialisations over."""
    for name in names:
        store.registry.delete_feature_view(name, store.project)
