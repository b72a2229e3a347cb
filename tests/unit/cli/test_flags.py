"""``triune flags`` as people type it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from triune.cli.main import main

Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    (tmp_path / "triune.toml").write_text('[workspace]\nname = "shop"\n')
    monkeypatch.chdir(tmp_path)

    def call(*words: str, code: int = 0) -> str:
        with pytest.raises(SystemExit) as end:
            main(["flags", *words])
        found = capsys.readouterr()
        assert end.value.code == code, found.err
        return found.out + found.err

    return call


def test_the_life_of_a_flag(run: Run) -> None:
    assert "there are no flags" in run("list")
    assert "made (change 1)" in run("set", "new-ui", "-m", "the new page")
    run("rollout", "new-ui", "on=12.5", "-m", "an eighth")
    assert "new-ui" in run("list")
    shown = json.loads(run("get", "new-ui", "--json"))
    assert shown["targeting"] == {"fractional": [["on", 1250], ["off", 8750]]}
    assert shown["change"]["reason"] == "an eighth"
    assert "ENABLED" in run("disable", "new-ui", "-m", "it breaks")
    assert "it is so already" in run("disable", "new-ui", "-m", "really")
    run("rollback", "new-ui", "-m", "mended")
    assert [one["action"] for one in json.loads(run("history", "new-ui", "--json"))] == [
        "rollback", "disable", "rollout", "set",
    ]  # fmt: skip
    assert "mended" in run("history", "new-ui")
    run("remove", "new-ui", "-m", "everybody has it")
    assert "flag-unknown" in run("get", "new-ui", code=5)


def test_a_flag_of_numbers_with_a_rule(run: Run) -> None:
    run("set", "price", "-v", "low=9.5", "-v", "high=12", "--default", "low", "-m", "prices")
    rule = '{"if": [{"==": [{"var": "plan"}, "gold"]}, "high"]}'
    run("set", "price", "--targeting", rule, "--metadata", 'owner="ads"', "-m", "gold pays more")
    shown = run("get", "price")
    assert "12" in shown
    assert "gold" in shown
    assert "ads" in shown


def test_a_file_is_looked_at_taken_and_given_back(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "flags.json"
    flag = {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "on"}
    path.write_text(json.dumps({"flags": {"a": flag}}))
    assert "1 flags, no mistakes" in run("lint", str(path))
    assert "would change" in run("import", str(path), "--dry-run")
    assert "there are no flags" in run("list")
    run("import", str(path))
    assert "nothing changes" in run("import", str(path))
    assert json.loads(run("export"))["flags"] == {"a": flag}


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["set", "a", "-v", "on", "-m", "x"], 2, "NAME=JSON"),
        (["set", "a", "-v", "on=yes", "-m", "x"], 2, "is no JSON"),
        (["set", "a", "--targeting", '{"iff": []}', "-m", "x"], 3, "unknown operation"),
        (["set", "a", "--default", "maybe", "-m", "x"], 3, "no variant"),
        (["import", "nowhere.json"], 5, "cannot be read"),
        (["lint", "broken.json"], 3, "is no JSON"),
    ],
)
def test_mistakes_are_named(
    run: Run, tmp_path: Path, words: list[str], code: int, says: str
) -> None:
    (tmp_path / "broken.json").write_text("{")
    assert says in run(*words, code=code)
    assert "there are no flags" in run("list")


def test_shares_that_are_none(run: Run) -> None:
    run("set", "a", "-m", "x")
    assert "VARIANT=PERCENT" in run("rollout", "a", "half", "-m", "x", code=2)
