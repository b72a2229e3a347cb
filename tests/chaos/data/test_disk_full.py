"""A full disk while a dataset is added: said clearly, and gone on with once there is room."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.disks import fill, resize, small_disk
from triune.app.context import Context
from triune.core.errors import Unavailable
from triune.core.workspace import Workspace

__all__ = ["small_disk"]

TOML = '[workspace]\nname = "x"\n[datasets.sales]\npath = "data/sales"\n'


@pytest.mark.root
@pytest.mark.parametrize(
    ("files", "size", "room"),
    [(4_500, 2_000, 5), (3, 4 << 20, 5), (4_500, 2_000, 0), (3, 4 << 20, 0)],
    ids=["many", "large", "many-from-the-first", "large-from-the-first"],
)
def test_adding_stops_with_a_name_and_goes_on(
    small_disk: Path, files: int, size: int, room: int
) -> None:
    resize(small_disk, 40)
    folder = small_disk / "data" / "sales"
    folder.mkdir(parents=True)
    (small_disk / "triune.toml").write_text(TOML)
    for number in range(files):
        (folder / f"{number}.bin").write_bytes(os.urandom(size))
    context = Context(Workspace(small_disk))
    try:
        assert not list(context.data.log("sales"))  # the ledger is there before
        fill(small_disk, room)
        with pytest.raises(Unavailable) as caught:
            context.data.add("sales")
        assert caught.value.reference == "disk-full"
        assert caught.value.hint is not None
        assert not list(context.data.log("sales"))
        assert len(list(folder.iterdir())) == files
        resize(small_disk, 200)
        version = context.data.add("sales")
        assert version.count == files
        assert context.data.status("sales").state.value == "current"
    finally:
        context.close()
