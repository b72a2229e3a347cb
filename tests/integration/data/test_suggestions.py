"""Suggested expectations, from the command to the check that they pass."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.support.services import MakeWorkspace, make_workspace, only
from triune.app.context import Context
from triune.core.errors import NotFound, Refused

__all__ = ["make_workspace"]

TOML = '[datasets.sales]\npath = "data/sales"\n'
SALES = pd.DataFrame(
    {
        "id": range(200),
        "shop": ["north", "south"] * 100,
        "price": [1.5, None, 20.0, 3.0] * 50,
        "day": pd.Timestamp("2026-01-01"),
        "tags": [[1, 2]] * 200,
    }
)


@pytest.fixture
def context(make_workspace: MakeWorkspace) -> Iterator[Context]:
    workspace = make_workspace(settings=only() + TOML)
    (workspace.root / "data" / "sales" / "more").mkdir(parents=True)
    made = Context(workspace)
    yield made
    made.close()


def folder(context: Context) -> Path:
    return context.workspace.root / "data" / "sales"


def run(context: Context, *arguments: str, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "triune.cli.main", "data", *arguments],
        cwd=context.workspace.root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return done.stdout


def test_what_is_suggested_passes_the_check(context: Context) -> None:
    SALES.to_parquet(folder(context) / "a.parquet", index=False)
    for name in ("b.csv", "c.csv"):
        SALES.drop(columns="tags").to_csv(folder(context) / "more" / name, index=False)
    context.data.add("sales")
    told: dict[str, Any] = json.loads(run(context, "suggest", "sales", "--json"))
    suggested = run(context, "suggest", "sales")
    assert told["toml"] == suggested
    assert told["skipped"]["a.parquet"]["tags"].endswith("nested")
    tables = tomllib.loads(suggested)["datasets"]["sales"]["expect"]
    assert [one["files"] for one in tables] == ["a.parquet", "more/*.csv"]
    assert tables[0]["columns"] == {
        "id": {"type": "integer", "nullable": False, "unique": True},
        "shop": {"type": "string", "nullable": False, "one_of": ["north", "south"]},
        "price": {"type": "float", "max_null_share": 0.39, "min": 0, "max": 22},
        "day": {"type": "timestamp", "nullable": False},
    }
    config = context.workspace.root / "triune.toml"
    config.write_text(f"{config.read_text()}\n{suggested}")
    assert json.loads(run(context, "check", "--json"))[0]["verdict"] == "pass"
    SALES.assign(shop="east").to_parquet(folder(context) / "a.parquet", index=False)
    context.data.add("sales")
    assert json.loads(run(context, "check", "--json", code=8))[0]["verdict"] == "fail"


def test_a_dataset_without_tables_and_a_broken_one_are_refused(context: Context) -> None:
    (folder(context) / "notes.txt").write_text("x")
    context.data.add("sales")
    with pytest.raises(NotFound) as none:
        context.expectations.suggest("sales")
    assert none.value.reference == "dataset-without-tables"
    (folder(context) / "a.parquet").write_bytes(b"PAR1 and then nothing")
    context.data.add("sales")
    with pytest.raises(Refused) as broken:
        context.expectations.suggest("sales")
    assert broken.value.reference == "table-broken"
    assert broken.value.context == str(folder(context) / "a.parquet")
