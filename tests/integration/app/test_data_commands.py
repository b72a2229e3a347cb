"""``triune data`` on a real workspace with real DVC."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.data import workspace_in
from triune.cli.main import main

Call = Callable[..., Any]


@pytest.fixture
def triune(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Call:
    workspace_in(tmp_path / "shop")
    monkeypatch.chdir(tmp_path / "shop")

    def call(*arguments: str, code: int = 0) -> Any:
        with pytest.raises(SystemExit) as ended:
            main(["data", *arguments, "--json"])
        out = capsys.readouterr().out
        assert ended.value.code == code, out
        return json.loads(out)

    return call


@pytest.mark.engine
def test_a_dataset_from_its_build_to_an_old_version(triune: Call, tmp_path: Path) -> None:
    (built,) = triune("build")
    assert built["changed"]
    (first,) = triune("add", "sales")
    assert triune("status", "sales")[0]["state"] == "current"
    assert triune("show", "sales") == first
    assert triune("verify", "sales")[0]["ref"] == first["ref"]

    (tmp_path / "shop/data/sales/a.csv").write_text("x,y\n")
    refused = triune("verify", "sales", code=6)
    assert refused["error"] == "dataset-changed"
    (second,) = triune("add", "sales")
    assert [version["ref"] for version in triune("log", "sales")] == [second["ref"], first["ref"]]

    out = triune("checkout", first["ref"], "--to", str(tmp_path / "out"))
    assert (Path(out["path"]) / "a.csv").read_text() == "x,y\n1,2\n3,4\n"
    triune("checkout", first["ref"])
    assert (tmp_path / "shop/data/sales/a.csv").read_text() == "x,y\n1,2\n3,4\n"
    assert triune("push", "sales")[0]["ref"] == first["ref"]


def test_a_dataset_nobody_declared_is_named(triune: Call) -> None:
    assert triune("add", "nothing", code=5)["error"] == "dataset-unknown"


def test_tables_for_people(
    triune: Call, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    for arguments in (["build"], ["status"]):
        with pytest.raises(SystemExit):
            main(["data", *arguments])
    out = capsys.readouterr().out
    assert "sales" in out
    assert "unversioned" in out


def test_tables_of_two_versions_as_json_as_a_table_and_as_a_picture(
    triune: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    triune("build")
    triune("add", "sales")
    (tmp_path / "shop/data/sales/a.csv").write_text("x,y\n1,2\n3,x\n")
    found = triune("diff", "sales", "--plot", "out/p.svg")
    assert [one["name"] for one in found["files"]] == ["a.csv"]
    (table,) = found["tables"]
    assert table["schema"] == [
        {"column": "y", "change": "retyped", "before": "BIGINT", "after": "VARCHAR"}
    ]
    (column,) = table["columns"]
    assert (column["name"], column["level"], column["psi"]) == ("x", "same", 0.0)
    assert column["before"]["mean"] == 2.0
    assert Path(found["plot"]).read_text().startswith("<?xml")
    assert triune("diff", "sales", "--no-tables")["tables"] == []
    with pytest.raises(SystemExit):
        main(["data", "diff", "sales"])
    assert "type BIGINT → VARCHAR" in capsys.readouterr().out


def test_a_broken_table_ends_the_comparison_with_its_exit_code(
    triune: Call, tmp_path: Path
) -> None:
    triune("build")
    triune("add", "sales")
    (tmp_path / "shop/data/sales/a.csv").write_text('x,y\n1,2\n"3')
    (table,) = triune("diff", "sales", code=6)["tables"]
    assert table["unreadable"]["error"] == "table-broken"
    assert table["unreadable"]["context"] == "on disk: a.csv"


def test_a_picture_of_an_unknown_kind_is_refused_before_anything_is_read(triune: Call) -> None:
    assert triune("diff", "nothing", "--plot", "p.gif", code=2)["error"] == "plot-format-unknown"
