"""Two tables, compared as the use case compares those of two versions."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from tests.support.data import Shop, shop_in
from triune.data.shift.model import ColumnShift, TableShift
from triune.data.shift.service import Differences, Shifts

Content = pd.DataFrame | pa.Table | bytes | str


def put(folder: Path, name: str, content: Content) -> None:
    """Write a file by its ending; bytes and text as they are."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, str):
        path.write_text(content)
    elif isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, pa.Table):
        parquet.write_table(content, path)
    elif path.suffix == ".csv":
        content.to_csv(path, index=False)
    else:
        content.to_parquet(path, index=False)


class Tables:
    """A dataset `sales` over fakes: what it holds is put, recorded, put anew, and compared."""

    def __init__(self, folder: Path) -> None:
        self.shop: Shop = shop_in(folder)
        self.folder = folder / "data" / "sales"
        self.shifts = Shifts(self.shop.data, folder / "scratch")

    def before(self, **files: Content) -> str:
        """Record a version with these files; ``__`` in a name is a dot."""
        self._put(files)
        return self.shop.data.add("sales").ref

    def after(self, **files: Content) -> None:
        """Lay these files in the place of the version's."""
        for path in self.folder.rglob("*"):
            if path.is_file():
                path.unlink()
        self._put(files)

    def diff(self, files: str | None = None) -> Differences:
        return self.shifts.diff("sales", files=files)

    def only(self, files: str | None = None) -> TableShift:
        (table,) = self.diff(files).tables
        assert table.unreadable is None, table.unreadable
        return table

    def _put(self, files: dict[str, Content]) -> None:
        for name, content in files.items():
            put(self.folder, name.replace("__", "."), content)


def column(table: TableShift, name: str) -> ColumnShift:
    (found,) = [one for one in table.columns if one.name == name]
    return found
