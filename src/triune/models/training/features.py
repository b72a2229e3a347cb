"""Feature views as training sees them: a version for what they are, columns kept by it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from triune.core import entrypoints
from triune.core.config import FeatureTable
from triune.core.errors import TriuneError
from triune.core.files import locked
from triune.core.ids import key_of
from triune.core.workspace import Workspace
from triune.ledger.envelope import Edge, Event
from triune.models.once import told_once
from triune.models.ports import DatasetVersion
from triune.models.training import sources
from triune.models.training.spec import FeatureSpec

if TYPE_CHECKING:
    import pandas as pd


def specify(
    name: str, table: FeatureTable, dataset: DatasetVersion, workspace: Workspace
) -> FeatureSpec:
    """The view's version: a hash over its code, its data and its table in ``triune.toml``."""
    code = workspace.root / workspace.config.workspace.code
    settings = json.dumps(table.model_dump(mode="json"), sort_keys=True)
    parts = (sources.digest(table.function, code), dataset.digest, settings)
    key = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]
    return FeatureSpec(name=name, key=key, function=table.function, data=str(dataset.path))


def defined(spec: FeatureSpec, dataset: str, commit: str, folder: Path, *, workspace: str) -> Event:
    """``features.defined``: the same event for the same view made by the same commit."""
    return told_once(
        folder / f"{spec.name}@{spec.key}+{key_of(commit)}.json",
        "features.defined",
        spec.ref,
        workspace=workspace,
        payload={"name": spec.name, "function": spec.function, "dataset": dataset},
        edges=(Edge(spec.ref, dataset, "dataset"), Edge(spec.ref, commit, "commit")),
    )


def columns(spec: FeatureSpec, *, code: Path, cache: Path) -> pd.DataFrame:
    """The view's columns by row key, read back from Parquet so that the first use and every
    later one see the same types.

    Raises
    ------
    TriuneError: (``features-failed``) the function raised, or did not return a DataFrame.
    """
    import pandas as pd

    path = cache / f"{spec.name}@{spec.key}.parquet"
    if not path.is_file():
        with locked(cache / f".{spec.name}.lock"):  # another training may be computing it
            if not path.is_file():
                hidden = path.with_name(f".{path.name}")
                _compute(spec, code).to_parquet(hidden)
                hidden.replace(path)
    return pd.read_parquet(path)


def _compute(spec: FeatureSpec, code: Path) -> pd.DataFrame:
    import pandas as pd

    function = entrypoints.load(spec.function, code)
    try:
        frame = function(Path(spec.data))
    except Exception as error:
        raise TriuneError(
            "features-failed",
            f"feature view {spec.name!r}: {type(error).__name__}: {error}",
            context=spec.function,
            hint="The traceback is in the run's output.",
        ) from error
    if not isinstance(frame, pd.DataFrame):
        raise TriuneError(
            "features-failed",
            f"feature view {spec.name!r} returned {type(frame).__name__}, not a DataFrame",
            context=spec.function,
            hint="Return a pandas DataFrame indexed by row key.",
        )
    return frame
