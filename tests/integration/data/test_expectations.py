"""Expectations: every rule that does not hold is named, and nothing trains on such data."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.services import MakeWorkspace, make_workspace, only
from triune.app.context import Context
from triune.core.config import ExpectTable, parse
from triune.core.errors import ConfigError, NotFound, Refused
from triune.data.expect import check
from triune.ledger.ports import Query

__all__ = ["make_workspace"]

TOML = """
[datasets.sales]
path = "data/sales"
[[datasets.sales.expect]]
files = "*.parquet"
min_rows = 3
unique = ["shop", "day"]
[datasets.sales.expect.columns]
shop = { type = "string", nullable = false, one_of = ["a", "b"] }
day = { type = "integer", min = 1, max = 31 }
price = { type = "number", max_null_share = 0.5 }
code = { type = "string", pattern = "[A-Z]{2}", required = false }
"""
GOOD = pd.DataFrame(
    {
        "shop": ["a", "b", "a"],
        "day": [1, 2, 3],
        "price": [1.0, None, 2.0],
        "code": ["AB", "CD", "EF"],
    }
)


@pytest.fixture
def context(make_workspace: MakeWorkspace) -> Iterator[Context]:
    workspace = make_workspace(settings=only() + TOML)
    (workspace.root / "data" / "sales").mkdir(parents=True)
    made = Context(workspace)
    yield made
    made.close()


def put(context: Context, frame: pd.DataFrame, name: str = "x.parquet") -> None:
    frame.to_parquet(context.workspace.root / "data" / "sales" / name, index=False)
    context.data.add("sales")


def test_data_that_meet_expectations_pass_and_are_checked_once(context: Context) -> None:
    put(context, GOOD)
    checked = context.expectations.check("sales")
    assert (checked.verdict, checked.files, checked.rows) == ("pass", 1, 3)
    before = context.ledger.last_sequence()
    context.expectations.require("sales")
    assert context.ledger.last_sequence() == before


def test_every_rule_that_does_not_hold_is_named(context: Context) -> None:
    bad = pd.DataFrame(
        {
            "shop": ["a", "z", None, "a"],
            "day": [1, 40, 2, 1],
            "price": [None, None, None, 1.0],
            "code": ["AB", "nope", "CD", "EF"],
        }
    )
    put(context, bad)
    checked = context.expectations.check("sales")
    broken = {(f.column, f.rule.partition(" (")[0]): f.count for f in checked.failures}
    assert broken == {
        ("shop", "missing"): 1,
        ("shop", "none of a, b"): 1,
        ("day", "greater than 31"): 1,
        ("code", "does not match [A-Z]{2}"): 1,
        ("price", "more than 50.00% of its values are missing"): 3,
        ("shop, day", "occurs more than once"): 1,
    }
    assert any("row 1" in one for f in checked.failures for one in f.examples)
    with pytest.raises(Refused) as caught:
        context.expectations.require("sales")
    assert caught.value.reference == "dataset-check-failed"
    told = {
        s.event.payload["verdict"] for s in context.ledger.select(Query(kind="dataset.checked"))
    }
    assert told == {"fail"}


def test_columns_types_rows_and_broken_files_are_told(context: Context) -> None:
    folder = context.workspace.root / "data" / "sales"
    put(context, GOOD.drop(columns="price").assign(day=["1", "2", "3"]))
    rules = {f.rule for f in context.expectations.check("sales").failures}
    assert "the column is missing" in rules
    assert any(rule.startswith("the column holds") and "string" in rule for rule in rules)
    put(context, GOOD.head(1))
    (failure,) = context.expectations.check("sales").failures
    assert failure.rule == "fewer than 3 rows"
    (folder / "x.parquet").write_bytes(b"PAR1 and then nothing")
    context.data.add("sales")
    (failure,) = context.expectations.check("sales").failures
    assert failure.rule.startswith("the table cannot be read")
    (folder / "x.parquet").unlink()
    (folder / "readme.txt").write_text("no table")
    context.data.add("sales")
    (failure,) = context.expectations.check("sales").failures
    assert failure.rule == "fewer than 1 files match"


def test_the_command_tells_and_its_exit_code_says_it(context: Context) -> None:
    put(context, GOOD.assign(day=[1, 2, 99]))
    done = subprocess.run(
        [sys.executable, "-m", "triune.cli.main", "data", "check", "--json"],
        cwd=context.workspace.root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 8
    (checked,) = json.loads(done.stdout)
    assert checked["failures"][0]["rule"] == "greater than 31"


def test_a_pattern_that_is_none_and_a_dataset_without_expectations(context: Context) -> None:
    table = {"workspace": {"name": "x"}, "datasets": {"d": {"path": "d", "expect": [
        {"columns": {"c": {"pattern": "("}}}]}}}  # fmt: skip
    with pytest.raises(ConfigError) as wrong:
        parse(table)
    assert "regular expression" in str(wrong.value.problems[0])
    with pytest.raises(NotFound) as caught:
        context.expectations.check("other")
    assert caught.value.reference == "dataset-unknown"


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(
        st.tuples(st.sampled_from("abz") | st.none(), st.integers(0, 40)), min_size=1, max_size=30
    )
)
def test_counts_are_those_of_a_plain_look(
    tmp_path: Path, rows: list[tuple[str | None, int]]
) -> None:
    table = ExpectTable.model_validate(
        {
            "columns": {
                "shop": {"nullable": False, "one_of": ["a", "b"]},
                "day": {"min": 1, "max": 31},
            }
        }
    )
    path = tmp_path / "t.parquet"
    pd.DataFrame(rows, columns=["shop", "day"]).astype({"shop": "str"}).assign(
        shop=[shop for shop, _ in rows]
    ).to_parquet(path, index=False)
    count, failures = check.file(path, "t", table)
    assert count == len(rows)
    wanted = {
        "missing": sum(shop is None for shop, _ in rows),
        "none of a, b": sum(shop == "z" for shop, _ in rows),
        "less than 1": sum(day < 1 for _, day in rows),
        "greater than 31": sum(day > 31 for _, day in rows),
    }
    typed = [f for f in failures if not f.rule.startswith("the column holds")]
    assert {f.rule: f.count for f in typed} == {k: v for k, v in wanted.items() if v}
