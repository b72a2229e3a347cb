"""Tables that people name on a command line: Parquet, CSV, JSON lines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from triune.core.errors import NotFound, Refused

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


def read_table(path: Path) -> pa.Table:
    """The file as a table, by its ending.

    Raises
    ------
    NotFound: (``table-missing``). Refused: (``table-broken``) with what is wrong in it.
    """
    import pyarrow as pa

    if not path.is_file():
        raise NotFound(
            "table-missing",
            f"there is no file {path}",
            hint="Name a Parquet, CSV or JSON lines file.",
        )
    try:
        return _read(path)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise Refused(
            "table-broken",
            f"the table cannot be read: {error}",
            context=str(path),
            hint="Parquet, CSV (.csv) and JSON lines (.jsonl) are known by their ending.",
        ) from error


def _read(path: Path) -> pa.Table:
    if path.suffix == ".csv":
        from pyarrow import csv

        return csv.read_csv(path)
    if path.suffix in (".jsonl", ".json", ".ndjson"):
        from pyarrow import json

        return json.read_json(path)
    from pyarrow import parquet

    return parquet.read_table(path)


def read_frame(path: Path) -> pd.DataFrame:
    """`read_table` as a pandas frame."""
    frame: pd.DataFrame = read_table(path).to_pandas()
    return frame


def write_frame(frame: pd.DataFrame, path: Path) -> None:
    """Write a frame by the file's ending, in one step: never half of it."""
    hidden = path.with_name(f".{path.name}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".csv":
        frame.to_csv(hidden, index=False)
    else:
        frame.to_parquet(hidden, index=False)
    hidden.replace(path)
