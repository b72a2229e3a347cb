"""What the process that trains is told: everything that decides how the training comes out."""

from __future__ import annotations

import msgspec

from triune.models.tracking.model import Value

FEATURES_ROLE = "features"


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
