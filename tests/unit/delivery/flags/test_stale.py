"""Flags against code: what could go, since when, and where it is written."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.governed import NEW, Shop, shop
from triune.core.errors import TriuneError
from triune.delivery.flags import answers
from triune.delivery.flags.model import Flag
from triune.delivery.flags.stale import Finding, Stale, report
from triune.delivery.flags.usage import uses

FILES = {
    "src/shop.py": """\
def page(client, user):
    if client.get_boolean_value("new-ui", False, user):
        return client.get_string_details(
            flag_key="banner",
            default_value="",
        )
    return SETTINGS['price']
""",
    "web/page.tsx": """\
const shown = useBooleanFlagValue('new-ui', false);
const text = await client.getStringValue<Word>(
  `headline`, 'x');
const made = client.getBooleanValue(`for-${name}`, false);
""",
    "go/main.go": 'v, _ := client.BooleanValue(context.Background(), "go-flag", false, ctx)\n',
    "java/Shop.java": 'client.getIntegerDetails("java-flag", 3, ctx);\n',
    "net/Shop.cs": 'await client.GetBooleanValueAsync("net-flag", false);\n',
    "README.md": 'Switch on "unused" and `client.get_boolean_value("told", False)`.\n',
    "flags.json": '{"flags": {"unused": {}}}\n',
    "ignored/x.py": 'client.get_boolean_value("ignored-flag", False)\n',
    ".gitignore": "ignored/\n",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "repo"
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    subprocess.run(["git", "-C", str(folder), "add", "src"], check=True)
    return folder


@pytest.fixture
def it(tmp_path: Path) -> Iterator[Shop]:
    with shop(tmp_path / "journal") as made:
        yield made


def test_uses_are_found_in_many_languages(root: Path) -> None:
    found = {(one.key, one.place, one.called) for one in uses(root, ["new-ui", "price", "unused"])}
    assert found == {
        ("new-ui", "src/shop.py:2", True),
        ("banner", "src/shop.py:4", True),
        ("price", "src/shop.py:7", False),
        ("new-ui", "web/page.tsx:1", True),
        ("headline", "web/page.tsx:3", True),
        ("go-flag", "go/main.go:1", True),
        ("java-flag", "java/Shop.java:1", True),
        ("net-flag", "net/Shop.cs:1", True),
    }


def test_places_are_seen_from_the_workspace_of_a_larger_repository(root: Path) -> None:
    assert {one.file for one in uses(root / "src", ["new-ui"]) if one.key == "new-ui"} == {
        "shop.py", "../web/page.tsx",
    }  # fmt: skip


def test_without_flags_or_uses(root: Path, tmp_path: Path) -> None:
    assert {one.key for one in uses(root, [])} >= {"new-ui", "go-flag"}
    empty = tmp_path / "empty"
    subprocess.run(["git", "init", "-q", str(empty)], check=True)
    assert uses(empty, ["new-ui"]) == []
    with pytest.raises(TriuneError) as caught:
        uses(tmp_path, ["new-ui"])
    assert caught.value.reference == "git-failed"


def found(it: Shop, root: Path, days: int) -> dict[tuple[str, Stale], Finding]:
    at = datetime.now(UTC) + timedelta(days=40)
    return {(one.key, one.stale): one for one in report(it.flags, root, days=days, at=at)}


def test_what_is_in_one_of_them_only(it: Shop, root: Path) -> None:
    it.flags.edit("unused", {}, "x")
    it.flags.edit("banner", {}, "x", actor="user:ada")
    it.flags.remove("banner", "the sale is over", actor="user:bob")
    report = found(it, root, 100)
    assert {(key, kind.value) for key, kind in report} == {
        ("unused", "not-in-code"),
        *((key, "not-in-store") for key in ("headline", "go-flag", "java-flag", "net-flag")),
        ("banner", "not-in-store"),
    }
    assert report["unused", Stale.NOT_IN_CODE].next == 'triune flags remove unused -m "in no code"'
    gone = report["banner", Stale.NOT_IN_STORE]
    assert gone.words == "user:bob removed it: the sale is over"
    assert [use.place for use in gone.uses] == ["src/shop.py:4"]
    assert "triune flags set go-flag" in report["go-flag", Stale.NOT_IN_STORE].next


def test_a_mistyped_key_is_told(it: Shop, root: Path) -> None:
    (root / "src" / "typo.py").write_text('client.get_boolean_value("new_ui", False)\n')
    assert found(it, root, 100)["new_ui", Stale.NOT_IN_STORE].next == "Did you mean `new-ui`?"


def test_what_gives_one_answer_for_long(it: Shop, root: Path) -> None:
    it.flags.roll_out("new-ui", {"on": 50}, "half")
    assert ("new-ui", Stale.ONE_ANSWER) not in found(it, root, 30)
    it.flags.roll_out("new-ui", {"on": 100}, "all")
    it.flags.edit("new-ui", {"metadata": {"owner": "ads"}}, "no other answer by that")
    one = found(it, root, 30)["new-ui", Stale.ONE_ANSWER]
    assert one.words == "gives everybody 'on'"
    assert (
        one.next
        == 'write true into src/shop.py:2, then `triune flags remove new-ui -m "everybody has it"`'
    )
    assert one.since == it.flags.history("new-ui")[1].at
    assert ("new-ui", Stale.ONE_ANSWER) not in found(it, root, 41)


def test_what_is_off_for_long(it: Shop, root: Path) -> None:
    it.flags.disable("new-ui", "x")
    one = found(it, root, 30)["new-ui", Stale.OFF]
    assert one.since == it.flags.history("new-ui")[0].at
    assert ("new-ui", Stale.OFF) not in found(it, root, 41)


@pytest.mark.parametrize(
    ("rule", "variant"),
    [
        (None, "off"),
        ({"fractional": [["on", 100], ["off", 0]]}, "on"),
        ({"fractional": [{"var": "team"}, ["on", 7]]}, "on"),
        ({"fractional": [["on", 1], ["off", 1]]}, None),
        ({"fractional": [["on", {"var": "share"}], ["off", 0]]}, None),
        ({"if": [{"var": "a"}, "on", {"var": "b"}, "on", "on"]}, "on"),
        ({"if": [{"var": "a"}, "on"]}, None),
        ({"if": [{"var": "a"}, "off"]}, "off"),
        ({"if": [{"var": "a"}, None, {"fractional": [["off", 1]]}]}, "off"),
        ({"var": "variant"}, None),
        ({"or": [{"var": "a"}, "on"]}, None),
    ],
)
def test_one_answer_is_seen_from_the_rule(rule: object, variant: str | None) -> None:
    flag = Flag("f", enabled=True, variants=NEW.variants, default="off", targeting=rule)
    assert answers.only(flag) == variant
