"""Checking a table leaves the process as it was."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from triune.data.expect import check

PROGRAM = """
import datetime, os, sys
from pathlib import Path
from triune.core.config import ColumnTable, ExpectTable
from triune.data.expect import check
before = dict(os.environ)
table = ExpectTable(files="*", columns={"a": ColumnTable(type="integer", min=2)})
rows, failures = check.file(Path(sys.argv[1]), "t", table)
assert (rows, [one.rule for one in failures]) == (2, ["less than 2"]), failures
assert "pandera" in sys.modules
assert dict(os.environ) == before
import pyarrow as pa
zone = datetime.timezone(datetime.timedelta(hours=5, minutes=30))
noon = datetime.datetime(2026, 3, 1, 12, tzinfo=zone)
(kept,) = pa.array([noon], pa.timestamp("us", tz="+05:30")).to_pylist()
assert kept == noon, kept
"""


@pytest.mark.parametrize("name", ["a[1]b.parquet", "what?.csv", "all*.csv"])
def test_a_name_may_hold_what_means_many_elsewhere(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "of [x]"
    folder.mkdir()
    frame, other = pd.DataFrame({"a": [1, 1, 2]}), pd.DataFrame({"a": [7, 7, 7, 8, 8]})
    meant = name.replace("*", "x").replace("?", "x").replace("[1]", "1")
    for path, one in ((folder / name, frame), (folder / meant, other)):
        if path.suffix == ".csv":
            one.to_csv(path, index=False)
        else:
            one.to_parquet(path)
    assert check.twice(folder / name, ["a"]) == (1, ("1",))


def test_times_with_a_zone_keep_it_after_a_check(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pd.DataFrame({"a": [1, 2]}).to_parquet(path)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path)], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
