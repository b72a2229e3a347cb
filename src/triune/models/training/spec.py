"""What the process that trains is told: everything that decides how the training comes out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from triune.models.tracking.model import Value

FEATURES_ROLE, HISTORY_ROLE, READ_ROLE = "features", "history", "read"


class FeatureSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One feature view: its function, the data it reads, and where its columns are kept.

    ``key`` is a hash of code, data and settings; the columns lie in ``<cache>/<key>.parquet``.
    """

    name: str
    key: str
    function: str
    data: str

    @property
    def ref(self) -> str:
        """The lineage reference ``features:<name>@<12 hex>``."""
        return f"features:{self.name}@{self.key}"


class HistorySpec(msgspec.Struct, frozen=True, kw_only=True):
    """Features of the feature store as of moments in the past: what joins them, and from where.

    ``join`` is the ``module:function`` that makes the join out of ``sources``; ``refs`` are the
    versions of the views.
    """

    join: str
    sources: tuple[dict[str, Any], ...]
    refs: tuple[str, ...]


Histories = Callable[[Sequence[str]], HistorySpec]
"""Makes out of ``view`` and ``view:feature`` what joins them; `triune.app` plugs it."""


class TrainingSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One training to be run, as JSON on the child's standard input. Paths are absolute."""

    run: str
    name: str
    root: str
    code: str
    function: str
    model: str
    data: str
    features: tuple[FeatureSpec, ...]
    cache: str
    log: str
    params: dict[str, Value]
    seed: int
    threads: int
    inputs: tuple[tuple[str, str], ...]
    details: dict[str, str]
    tags: dict[str, str]
    onnx: bool = True
    history: HistorySpec | None = None
