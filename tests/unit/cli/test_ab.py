"""``triune ab`` as people type it, on a flag's test."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from triune.app.context import Context
from triune.cli.main import main
from triune.core.ids import new_id
from triune.core.workspace import Workspace
from triune.delivery.abtest.facts import EXPOSED, OBSERVED
from triune.ledger.envelope import event

Run = Callable[..., str]
CONFIG = """
[workspace]
name = "shop"

[endpoints."flights/delay"]
model = "delay"

[holdout]
percent = 5

[tests.checkout]
hypothesis = "the new page sells more"
flag = "new-ui"
layer = { name = "pages", size = 6000 }
variants = [
    { name = "old", percent = 50, flag_variant = "off" },
    { name = "new", percent = 50, flag_variant = "on" },
]
planned_units = 400
minimum_units = 100
cycle_days = 0
segments = [{ name = "country", values = ["de"] }]
[[tests.checkout.metrics]]
name = "bought"
kind = "proportion"
role = "primary"
outcome = "order"
minimum_effect = 0.2

[tests.menu]
hypothesis = "a shorter menu"
flag = "menu"
layer = { name = "pages", first = 5000, size = 1000 }
variants = [
    { name = "long", percent = 50, flag_variant = "off" },
    { name = "short", percent = 50, flag_variant = "on" },
]
[[tests.menu.metrics]]
name = "bought"
kind = "proportion"
role = "primary"
outcome = "order"
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    (tmp_path / "triune.toml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)

    def call(*words: str, code: int = 0) -> str:
        with pytest.raises(SystemExit) as end:
            main(list(words))
        found = capsys.readouterr()
        assert end.value.code == code, found.out + found.err
        return found.out + found.err

    for key in ("new-ui", "menu"):
        call("flags", "set", key, "-m", "a page")
    return call


def traffic(folder: Path, units: int = 500) -> None:
    """Everybody comes by; of those with the new page half buy, of the others a fifth."""
    context = Context(Workspace(folder))
    test = context.abtests.runs().find("checkout")
    evaluator = context.flags.current().evaluator()
    events = []

    def told(kind: str, unit: str, payload: dict[str, Any]) -> None:
        said = {"unit": unit, **payload}
        events.append(event(kind, f"unit:{unit}", workspace="shop", payload=said))

    from triune.delivery.flags.model import Kind

    for number in range(units):
        unit = f"u{number}"
        variant = test.declaration.variant_of(unit)
        found = evaluator.evaluate("new-ui", False, kind=Kind.BOOLEAN, targeting_key=unit)
        assert found.value is (variant == "new")
        if variant is None:
            continue
        told(EXPOSED, unit, {"test": "checkout", "run": test.id, "variant": variant})
        if number % (2 if variant == "new" else 5) == 0:
            told(OBSERVED, unit, {"name": "order", "value": 9.5})
    context.ledger.record(events)
    context.close()


def test_the_life_of_a_test(run: Run, tmp_path: Path) -> None:
    assert "declared" in run("ab", "list")
    assert "could start" in run("ab", "start", "checkout", "--dry-run")
    assert "checkout: started" in run("ab", "start", "checkout", "-m", "as planned")
    traffic(tmp_path, 1500)
    shown = run("ab", "status", "checkout", "--exact")
    assert "the same" in shown
    assert "better" in shown
    found = json.loads(run("ab", "status", "checkout", "--json"))
    assert found["decision"]["action"] == "promote"
    assert "country=other" in run("ab", "status", "checkout", "--segments")
    parts = json.loads(run("ab", "status", "checkout", "--segments", "--json"))["segments"]
    assert {(p["segment"], p["finding"]) for p in parts["bought"]} == {
        ("country=de", "not yet"),
        ("country=other", "better"),
    }
    assert found["counts"]["units"] == sum(found["exposed"].values())
    assert "used by the A/B test" in run("flags", "remove", "new-ui", "-m", "tidy", code=6)
    assert "new won" in run("ab", "decide", "checkout")
    flag = json.loads(run("flags", "get", "new-ui", "--json"))
    assert flag["defaultVariant"] == "on"
    assert "targeting" not in flag
    assert "test-over" in run("ab", "stop", "checkout", "-m", "late", code=9)
    assert "new won" in run("ab", "history", "checkout")
    assert [row["winner"] for row in json.loads(run("ab", "list", "--json"))] == ["new", ""]


def test_the_evidence_decides_or_a_person_does(run: Run, tmp_path: Path) -> None:
    run("ab", "start", "checkout", "-m", "as planned")
    assert "test-undecided" in run("ab", "decide", "checkout", code=6)
    assert "reason-missing" in run("ab", "decide", "checkout", "--no-winner", code=6)
    assert "variant-unknown" in run(
        "ab", "decide", "checkout", "--winner", "blue", "-m", "x", code=5
    )
    assert "nobody won" in run(
        "ab", "decide", "checkout", "--no-winner", "-m", "the season is over"
    )
    flag = json.loads(run("flags", "get", "new-ui", "--json"))
    assert flag["defaultVariant"] == "off"


def test_tests_that_overlap_are_refused(run: Run) -> None:
    run("ab", "start", "checkout", "-m", "as planned")
    assert "test-layer-overlaps" in run("ab", "start", "menu", "-m", "me too", code=9)
    assert "test-running" in run("ab", "start", "checkout", "-m", "again", code=9)
    other = ("new-ui", "--a", "off", "--b", "on", "--outcome", "order", "--name", "other")
    assert "test-flag-taken" in run("ab", "start", *other, "-m", "x", code=9)
    run("ab", "stop", "checkout", "-m", "a holiday")
    run("ab", "start", "menu", "-m", "now")
    assert "stopped" in run("ab", "status", "checkout")


def test_what_is_not_there_is_said(run: Run, tmp_path: Path) -> None:
    assert "test-undeclared" in run("ab", "start", "chekout", code=5)
    assert "test-unknown" in run("ab", "status", "checkout", code=5)
    words = run("ab", "start", "new-ui", "--a", "of", "--b", "on", "--outcome", "order", code=3)
    assert "has no variant 'of'" in words
    assert "flag-unknown" in run("ab", "start", "nix", "--a", "a", "--b", "b", code=5)
    assert "both arms" in run("ab", "start", "new-ui", "--a", "off", code=2)
    run("flags", "remove", "new-ui", "-m", "tidy")
    assert "there is no flag 'new-ui'" in run("ab", "start", "checkout", code=3)


def test_a_flag_that_goes_or_changes_meanwhile_is_told(run: Run, tmp_path: Path) -> None:
    run("ab", "start", "checkout", "-m", "as planned")
    run("flags", "disable", "new-ui", "-m", "it breaks")
    assert "is off: nobody is exposed" in run("ab", "status", "checkout")
    run("flags", "enable", "new-ui", "-m", "mended")
    run("flags", "set", "new-ui", "--targeting", "null", "-m", "by hand")
    assert "no more the test's" in run("ab", "status", "checkout")
    context = Context(Workspace(tmp_path))
    object.__setattr__(context.flags, "_in_use", None)
    context.flags.remove("new-ui", "by another program")
    context.close()
    assert "is gone: nobody is exposed" in run("ab", "status", "checkout")
    assert "stopped" in run("ab", "stop", "checkout", "-m", "the flag is gone")


def test_a_plan_from_outcomes(run: Run, tmp_path: Path) -> None:
    run("ab", "start", "checkout", "-m", "as planned")
    traffic(tmp_path, 600)
    shown = json.loads(run("ab", "plan", "checkout", "--json"))
    assert shown["units_a_day"] > 0
    assert shown["values"]["bought"] == 1.0  # of whom an outcome is known
    assert "units a day" in run("ab", "plan", "checkout", "--effect", "0.1")


def test_a_report_and_a_dry_run(run: Run, tmp_path: Path) -> None:
    run("ab", "start", "checkout", "-m", "as planned")
    traffic(tmp_path, 600)
    path = Path(run("ab", "report", "checkout").strip())
    assert "the new page sells more" in path.read_text()
    assert "country=other, new" in path.read_text()
    book = Path(run("ab", "report", "checkout", "--out", str(tmp_path / "it.ipynb")).strip())
    assert json.loads(book.read_text())["nbformat"] == 4
    shown = json.loads(run("ab", "replay", "checkout", "--since", "1h", "--points", "4", "--json"))
    assert len(shown) == 4
    assert shown[-1]["decision"]["action"] != "promote"
    assert sum(shown[-1]["exposed"].values()) > 50
    assert "in the end" in run("ab", "replay", "checkout", "--since", "1h", "--points", "2")
    assert "is not before" in run("ab", "replay", "checkout", "--since", "2100-01-01", code=2)


def test_two_versions_at_an_endpoint_by_their_numbers(run: Run, tmp_path: Path) -> None:
    context, events = Context(Workspace(tmp_path)), []
    for number in range(400):
        about = {"endpoint": "flights/delay", "unit": f"N{number}"}
        prediction = new_id()
        subject = f"prediction:{prediction}"
        served = {**about, "release": "release:flights-delay@0", "duration_ms": 2.0 + number % 3}
        told = {**about, "name": "late", "value": number % 2, "predicted": 0.4}
        events += [
            event("prediction.served", subject, workspace="shop", payload=served),
            event("outcome.observed", subject, workspace="shop", payload=told),
        ]
    context.ledger.record(events)
    context.close()
    target = ("flights/delay", "--a", "3", "--b", "4")
    shown = json.loads(run("ab", "plan", *target, "--json"))
    assert shown["values"]["squared-error"] == pytest.approx(0.26)
    assert shown["values"]["latency-ms"] == pytest.approx(3.0, abs=0.01)
    words = run("ab", "start", *target, "--dry-run")
    assert "flights/delay: b / a" in words
    assert "10000 units an arm" not in run("ab", "start", *target, "--units", "50", "--dry-run")
    assert "model-not-found" in run("ab", "start", *target, "-m", "is it?", code=5)
    assert "no version" in run("ab", "start", "flights/delay", "--a", "x", "--b", "4", code=2)
    assert "there are no" not in run("ab", "list")
