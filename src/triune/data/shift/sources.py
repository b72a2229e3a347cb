"""The two tables that are compared, in DuckDB: Parquet is read in place, CSV is brought in once.

Both are views whose columns are named by their place (``c0``, ``c1``, ...), whatever they are
called in the file, and ``place``, a number drawn from the row's position by which rows are sampled:
the same rows each time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from triune.core.errors import TriuneError, Unavailable
from triune.core.files import own_folder
from triune.data.expect.tables import broken
from triune.data.shift.kinds import kind_of
from triune.data.shift.model import Kind

if TYPE_CHECKING:
    import duckdb

MEMORY = "2GB"
"""What DuckDB may hold in memory; beyond it spills to the disk."""
_CSV = "read_csv([{}], delim=',', header=true, sample_size=-1, union_by_name=true)"
_PARQUET = "read_parquet([{}], union_by_name=true)"
_PLACE = "hash(file_index, file_row_number)"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a file: its name there, DuckDB's type, its kind, its name in the view."""

    name: str
    type: str
    kind: Kind
    id: str


@dataclass(frozen=True, slots=True)
class Table:
    """One side: a view, its columns by their names, its rows, and where it comes from.

    ``loose``: its types were guessed from text, so their widths say nothing.
    """

    database: duckdb.DuckDBPyConnection
    view: str
    columns: Mapping[str, Column]
    rows: int
    where: str
    loose: bool

    def ask(self, text: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Rows of a query. Raises `Refused` (``table-broken``)."""
        with _explained(self.where):
            return list(self.database.execute(text, list(values)).fetchall())

    def numbers(self, text: str) -> Any:
        """The first column of a query as an array. Raises `Refused` (``table-broken``)."""
        with _explained(self.where):
            return next(iter(self.database.execute(text).fetchnumpy().values()))


@dataclass(frozen=True, slots=True)
class Files:
    """What a side is made of: files by their names, and where they are from in words."""

    version: str
    paths: Mapping[str, Path]

    @property
    def where(self) -> str:
        names = list(self.paths)
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        return f"{self.version}: {names[0]}{more}"


@contextmanager
def opened(before: Files, after: Files, scratch: Path) -> Iterator[tuple[Table, Table]]:
    """Both tables; what DuckDB spills goes into ``scratch`` and is cleared away.

    Raises
    ------
    Refused: (``table-broken``) naming version and file.
    """
    import duckdb

    with (
        TemporaryDirectory(dir=own_folder(scratch)) as folder,
        duckdb.connect(config={"memory_limit": MEMORY, "temp_directory": folder}) as database,
    ):
        database.execute("SET TimeZone = 'UTC'")
        yield (
            _table(database, "before", before, Path(folder)),
            _table(database, "after", after, Path(folder)),
        )


def _table(database: duckdb.DuckDBPyConnection, view: str, files: Files, folder: Path) -> Table:
    links = list(_linked(files, folder, view))
    with _explained(files.where):
        loose = _bring(database, view, links)
        described = database.execute(f"DESCRIBE {view}_read").fetchall()[:-1]
        columns = [
            Column(str(name), str(type_), kind_of(str(type_)), f"c{place}")
            for place, (name, type_, *_) in enumerate(described)
        ]
        ids = ", ".join([*(column.id for column in columns), "place"])
        database.execute(f"CREATE VIEW {view} ({ids}) AS SELECT * FROM {view}_read")
        ((rows,),) = database.execute(f"SELECT count(*) FROM {view}").fetchall()
    table = Table(database, view, {c.name: c for c in columns}, int(rows), files.where, loose)
    return _without_guesses(table) if loose else table


def _linked(files: Files, folder: Path, view: str) -> Iterator[Path]:
    """Links without letters that DuckDB takes for a glob, each with the ending of its format."""
    for place, (name, path) in enumerate(files.paths.items()):
        if not path.stat().st_size:
            raise broken(files.where, ValueError("it has no bytes"))
        link = folder / f"{view}-{place}{Path(name).suffix}"
        link.symlink_to(path.resolve())
        yield link


def _bring(database: duckdb.DuckDBPyConnection, view: str, links: Sequence[Path]) -> bool:
    """Make ``<view>_read``; whether texts were read for it."""
    texts = [str(link) for link in links if link.suffix == ".csv"]
    parquets = [str(link) for link in links if link.suffix != ".csv"]
    if not texts:
        source = f"SELECT *, {_PLACE} FROM {_PARQUET.format(_quoted(parquets))}"
        database.execute(f"CREATE VIEW {view}_read AS {source}")
        return False
    parts = [f"SELECT * FROM {_CSV.format(_quoted(texts))}"]
    if parquets:
        parts.append(f"SELECT * FROM {_PARQUET.format(_quoted(parquets))}")
    database.execute(f"CREATE TABLE {view}_text AS {' UNION ALL BY NAME '.join(parts)}")
    database.execute(f"CREATE VIEW {view}_read AS SELECT *, hash(rowid) FROM {view}_text")
    return True


def _without_guesses(table: Table) -> Table:
    """A column of a text that has no value has no type either."""
    counts = ", ".join(f"count({column.id})" for column in table.columns.values())
    (found,) = table.ask(f"SELECT {counts} FROM {table.view}")
    columns = {
        name: column if count else replace(column, kind=Kind.EMPTY)
        for (name, column), count in zip(table.columns.items(), found, strict=True)
    }
    return replace(table, columns=columns)


def _quoted(paths: Sequence[str]) -> str:
    return ", ".join("'" + path.replace("'", "''") + "'" for path in paths)


@contextmanager
def _explained(where: str) -> Iterator[None]:
    import duckdb

    try:
        yield
    except (duckdb.BinderException, duckdb.ParserException, duckdb.CatalogException):
        raise
    except duckdb.OutOfMemoryException as error:
        raise _too_large(where, error) from error
    except duckdb.Error as error:
        raise broken(where, _plain(error)) from error


def _too_large(where: str, error: Exception) -> TriuneError:
    return Unavailable(
        "table-too-large",
        f"the table does not fit into {MEMORY} of memory and the disk: {_plain(error)}",
        context=where,
        hint="Make room on the disk, or compare fewer tables with `--files`.",
    )


def _plain(error: Exception) -> Exception:
    """What DuckDB says, without its own words for the kind of error and our links' names."""
    line = str(error).strip().splitlines()[0]
    said = line.partition(" Error: ")[2] or line
    return ValueError(
        re.sub(r"(?i)( of| in)? (the )?file ['\"]/[^'\"]*['\"]", "", f" {said}").strip()
    )
