"""``triune flags`` as people type it."""

from __future__ import annotations

import json
import subprocess
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
    assert "would be made" in run("import", str(path), "--dry-run")
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


@pytest.fixture
def people(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    return lambda name: monkeypatch.setenv("LOGNAME", name)


def test_a_second_person_approves(run: Run, people: Callable[[str], None]) -> None:
    people("ada")
    run("set", "pay", "-m", "the new way to pay")
    assert "changes take 1 approval (change 2)" in run("protect", "pay", "-m", "it takes money")
    assert "a change takes 1 approval" in run("get", "pay")
    assert "somebody else must approve" in run("default", "pay", "on", "-m", "all of them")
    assert "0 of 1 approved" in run("proposals")
    assert "somebody else must approve" in run("get", "pay")
    assert json.loads(run("get", "pay", "--json"))["plans"][0]["plan"] == "pay.1"
    assert "approval-own" in run("approve", "pay.1", code=6)
    people("bob")
    assert "(change 3)" in run("approve", "pay.1")
    assert "plan-settled" in run("approve", "pay.1", code=9)
    shown = json.loads(run("history", "pay", "--json"))[0]
    assert (shown["actor"], shown["carried"]["approved_by"]) == ("user:ada", ["user:bob"])
    assert "user:bob" in run("history", "pay").splitlines()[1]
    assert "no change waits" in run("proposals")
    assert "done" in run("proposals", "--all")
    assert "(change 4)" in run("disable", "pay", "-m", "it burns", "--force")
    assert "forced past approval" in run("history", "pay")
    assert "pay.2" in run("enable", "pay", "-m", "mended")
    assert "rejected" in run("reject", "pay.2", "-m", "not yet")
    assert "plan-unknown" in run("approve", "pay.9", code=5)


def test_an_import_of_a_protected_flag_is_proposed(run: Run, tmp_path: Path) -> None:
    run("set", "pay", "-m", "x")
    run("protect", "pay", "-m", "x")
    path = tmp_path / "flags.json"
    on = {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "on"}
    path.write_text(json.dumps({"flags": {"pay": on, "new": on}}))
    assert "would be proposed: changed" in run("import", str(path), "--dry-run")
    assert "proposed as pay.1: changed" in run("import", str(path))
    assert json.loads(run("get", "pay", "--json"))["defaultVariant"] == "off"


def test_a_change_at_its_time(run: Run) -> None:
    run("set", "sale", "-m", "x")
    assert "no change is scheduled" in run("scheduled")
    assert "sale.1" in run("default", "sale", "on", "-m", "it begins", "--in", "2h")
    far = "2126-12-24T09:00:00+01:00"
    for words in (
        ["rollout", "sale", "on=10"], ["enable", "sale"], ["disable", "sale"],
        ["set", "sale", "--metadata", "a=1"],
    ):  # fmt: skip
        assert "due 2126-12-24" in run(*words, "-m", "x", "--at", far)
    shown = json.loads(run("scheduled", "--json"))
    assert [one["plan"] for one in shown] == [f"sale.{n}" for n in (1, 2, 3, 4, 5)]
    assert shown[1]["due"] == far
    assert "withdrawn" in run("unschedule", "sale.1", "-m", "not yet")
    assert "sale.1" not in run("scheduled")
    assert "not yet" in run("scheduled", "--all")


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--at", "2020-01-01T00:00Z"], 6, "time-passed"),
        (["--at", "2126-12-24T08:00"], 6, "time-without-zone"),
        (["--at", "tomorrow"], 2, "no ISO time"),
        (["--in", "soon"], 2, "no length of time"),
        (["--in", "99999999w"], 2, "beyond the calendar"),
        (["--in", "1h", "--at", "2126-12-24T08:00Z"], 2, "not both"),
        (["--in", "1h", "--force"], 2, "forced is done now"),
    ],
)
def test_times_that_are_none(run: Run, words: list[str], code: int, says: str) -> None:
    run("set", "sale", "-m", "x")
    assert says in run("disable", "sale", "-m", "x", *words, code=code)
    assert "no change is scheduled" in run("scheduled")


def test_what_is_stale(run: Run, tmp_path: Path) -> None:
    assert "git-failed" in run("stale", code=1)
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / "shop.py").write_text('client.get_boolean_value("new-iu", False)\n')
    run("set", "new-ui", "-m", "x")
    shown = json.loads(run("stale", "--days", "0", "--json"))
    assert {(one["key"], one["stale"]) for one in shown} == {
        ("new-ui", "not-in-code"), ("new-ui", "one-answer"), ("new-iu", "not-in-store"),
    }  # fmt: skip
    assert "shop.py:1" in run("stale")
    (tmp_path / "shop.py").write_text('client.get_boolean_value("new-ui", False)\n')
    assert "nothing is stale" in run("stale")


def test_json_that_python_alone_would_take(run: Run, tmp_path: Path) -> None:
    assert "NaN is no JSON" in run("set", "a", "-v", "x=NaN", "-m", "x", code=2)
    deep = tmp_path / "deep.json"
    deep.write_text("[" * 100_000)
    assert "is no JSON" in run("lint", str(deep), code=3)
