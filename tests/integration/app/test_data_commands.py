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
