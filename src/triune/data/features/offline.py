"""Feast's offline-store interface on DuckDB.

    offline_store:
      type: triune.data.features.offline.DuckDBOfflineStore

Unlike Feast's file store it keeps every entity row, in its order, also where nothing is known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
from feast import FeatureView, OnDemandFeatureView
from feast.data_source import DataSource
from feast.errors import SavedDatasetLocationAlreadyExists
from feast.infra.offline_stores.file_source import FileSource, SavedDatasetFileStorage
from feast.infra.offline_stores.offline_store import OfflineStore, RetrievalJob, RetrievalMetadata
from feast.infra.registry.base_registry import BaseRegistry
from feast.repo_config import FeastConfigBaseModel, RepoConfig
from feast.saved_dataset import SavedDatasetStorage
from feast.utils import _get_requested_feature_views_to_features_dict

from triune.core.errors import Refused
from triune.data.features import asof
from triune.data.features.asof import Source

MOMENT = "event_timestamp"


class DuckDBOfflineStoreConfig(FeastConfigBaseModel):  # type: ignore[misc]
    """Nothing to set."""

    type: Literal["triune.data.features.offline.DuckDBOfflineStore"] = (
        "triune.data.features.offline.DuckDBOfflineStore"
    )


class Job(RetrievalJob):  # type: ignore[misc]
    """A table that is computed when it is asked for."""

    def __init__(
        self,
        compute: Callable[[], pd.DataFrame | pa.Table],
        *,
        full_feature_names: bool = False,
        on_demand: Sequence[OnDemandFeatureView] = (),
        metadata: RetrievalMetadata | None = None,
    ) -> None:
        self._compute = compute
        self._full_feature_names = full_feature_names
        self._on_demand = list(on_demand)
        self._metadata = metadata

    @property
    def full_feature_names(self) -> bool:
        return self._full_feature_names

    @property
    def on_demand_feature_views(self) -> list[OnDemandFeatureView]:
        return self._on_demand

    @property
    def metadata(self) -> RetrievalMetadata | None:
        return self._metadata

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:
        table = self._compute()
        return table.to_pandas() if isinstance(table, pa.Table) else table

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:
        table = self._compute()
        return table if isinstance(table, pa.Table) else pa.Table.from_pandas(table)

    def persist(
        self,
        storage: SavedDatasetStorage,
        allow_overwrite: bool | None = False,
        timeout: int | None = None,
    ) -> None:
        import pyarrow.parquet as pq

        assert isinstance(storage, SavedDatasetFileStorage)
        path = Path(storage.file_options.uri)
        if path.exists() and not allow_overwrite:
            raise SavedDatasetLocationAlreadyExists(location=str(path))
        pq.write_table(self.to_arrow(), path)


class DuckDBOfflineStore(OfflineStore):  # type: ignore[misc]
    """Reads `FileSource` tables by `triune.data.features.asof`."""

    @staticmethod
    def get_historical_features(
        config: RepoConfig,
        feature_views: list[FeatureView],
        feature_refs: list[str],
        entity_df: pd.DataFrame | None,
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,
        **_: Any,
    ) -> RetrievalJob:
        if not isinstance(entity_df, pd.DataFrame):
            raise Refused(
                "feature-entities-unfit",
                f"entity rows must be a pandas DataFrame, not {type(entity_df).__name__}",
                hint="Read the file or query first.",
            )
        moment = _moment(entity_df)
        by_view, _on_demand = _get_requested_feature_views_to_features_dict(
            feature_refs, feature_views, []
        )
        sources = [
            _of_view(view, names, config, full=full_feature_names)
            for view, names in by_view.items()
        ]
        return Job(
            lambda: asof.join(entity_df, moment, sources),
            full_feature_names=full_feature_names,
            on_demand=OnDemandFeatureView.get_requested_odfvs(feature_refs, project, registry),
            metadata=RetrievalMetadata(
                features=feature_refs,
                keys=[name for name in entity_df.columns if name != moment],
                min_event_timestamp=entity_df[moment].min(),
                max_event_timestamp=entity_df[moment].max(),
            ),
        )

    @staticmethod
    def pull_latest_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> RetrievalJob:
        source = _of_columns(
            config,
            data_source,
            join_key_columns,
            feature_name_columns,
            timestamp_field,
            created_timestamp_column,
        )
        return Job(lambda: _with_times(asof.latest(source, start_date, end_date), source))

    @staticmethod
    def pull_all_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None = None,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> RetrievalJob:
        source = _of_columns(
            config,
            data_source,
            join_key_columns,
            feature_name_columns,
            timestamp_field,
            created_timestamp_column,
        )
        return Job(lambda: _with_times(asof.everything(source, start_date, end_date), source))


def _moment(entities: pd.DataFrame) -> str:
    if MOMENT in entities.columns:
        return MOMENT
    times = list(entities.select_dtypes(include=["datetime", "datetimetz"]).columns)
    if len(times) == 1:
        return str(times[0])
    raise Refused(
        "feature-entities-unfit",
        f"the entity rows have no column {MOMENT}",
        context=", ".join(map(str, entities.columns)),
        hint=f"Name the column with the moments {MOMENT}.",
    )


def _of_view(view: FeatureView, names: Sequence[str], config: RepoConfig, *, full: bool) -> Source:
    source = _file(view.batch_source)
    columns = {new: old for old, new in (source.field_mapping or {}).items()}
    prefix = f"{view.projection.name_to_use()}__" if full else ""
    renamed = view.projection.join_key_map
    return Source(
        path=_path(source, config),
        time=source.timestamp_field,
        created=source.created_timestamp_column or None,
        keys={columns.get(key, key): renamed.get(key, key) for key in view.join_keys},
        features={columns.get(name, name): f"{prefix}{name}" for name in names},
        ttl_ns=round(view.ttl.total_seconds() * 1e9) if view.ttl else 0,
    )


def _of_columns(
    config: RepoConfig,
    data_source: DataSource,
    keys: Sequence[str],
    features: Sequence[str],
    time: str,
    created: str | None,
) -> Source:
    source = _file(data_source)
    return Source(
        path=_path(source, config),
        time=time,
        created=created or None,
        keys={key: key for key in keys},
        features={name: name for name in features},
    )


def _with_times(table: pa.Table, source: Source) -> pa.Table:
    """The table with its times under their own names, as Feast wants them back."""
    utc = pa.timestamp("us", tz="UTC")
    for name, column in ((source.time, "event_us"), (source.created, "created_us")):
        if name:
            table = table.append_column(name, table[column].cast(utc))
    return table.drop_columns(["event_us", "created_us"])


def _file(source: DataSource | None) -> FileSource:
    if isinstance(source, FileSource):
        return source
    raise Refused(
        "feature-source-unknown",
        f"the table is a {type(source).__name__}",
        hint="This offline store reads FileSource: Parquet or CSV.",
    )


def _path(source: FileSource, config: RepoConfig) -> str:
    return str(Path(config.repo_path or ".") / source.path)
