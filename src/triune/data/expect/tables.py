"""Reading tables in batches: memory does not grow with the file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from triune.core.errors import Refused

if TYPE_CHECKING:
    import pyarrow as pa

ENDINGS = (".parquet", ".csv")
BATCH_ROWS = 100_000


def is_table(path: Path) -> bool:
    """Whether a file is a table, by its ending."""
    return path.suffix in ENDINGS


def schema(path: Path) -> pa.Schema:
    """Names and types of the columns.

    Raises
    ------
    Refused: (``table-broken``) naming the file and what is wrong with it.
    """
    import pyarrow as pa

    try:
        if path.suffix == ".csv":
            from pyarrow import csv

            with csv.open_csv(path) as reader:
                return reader.schema
        from pyarrow import parquet

        return parquet.read_schema(path)
    except (pa.ArrowException, OSError) as error:
        raise broken(path, error) from error


def batches(path: Path, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """The rows, some at a time. Raises `Refused` (``table-broken``)."""
    import pyarrow as pa

    try:
        if path.suffix == ".csv":
            from pyarrow import csv

            with csv.open_csv(path) as reader:
                for batch in reader:
                    yield batch.select(columns)
            return
        from pyarrow import parquet

        with parquet.ParquetFile(path) as file:
            yield from file.iter_batches(BATCH_ROWS, columns=columns)
    except (pa.ArrowException, OSError) as error:
        raise broken(path, error) from error


def broken(path: Path | str, error: Exception) -> Refused:
    """The error for a table that cannot be read."""
    return Refused(
        "table-broken",
        f"the table cannot be read: {str(error).strip().splitlines()[0] if str(error) else error}",
        context=str(path),
        hint="Make it anew, or bring the recorded version back: `triune data checkout`.",
    )
