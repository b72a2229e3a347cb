"""Checking a table leaves the process as it was."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd

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


def test_times_with_a_zone_keep_it_after_a_check(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pd.DataFrame({"a": [1, 2]}).to_parquet(path)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path)], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
