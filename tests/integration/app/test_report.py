"""A report from a ledger, runs and records as a loop leaves them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.support.story import ENDPOINT, NASTY, Story, told
from triune.app.context import Context
from triune.app.loop.model import LoopState
from triune.app.report import build, from_state
from triune.app.report.gather import Gatherer
from triune.cli.main import main
from triune.core.errors import NotFound
from triune.core.workspace import Workspace


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    found = told(tmp_path_factory.mktemp("shop"))
    yield found
    found.context.close()


@pytest.fixture(scope="module")
def page(story: Story) -> str:
    out = story.context.workspace.root / "report.html"
    assert build(story.context, story.facts, out) == out
    return out.read_text()


def test_it_says_what_happened(page: str) -> None:
    for words in (
        "1 of 2 checks fail",
        "Nothing was lost",
        "A serves",
        "B takes over",
        "C in shadow",
        "C 10 %",
        "C takes over",
        "D 20 %",
        "back on C",
        "E refused",
        "F takes over",
        "F was left for C, 0.40 seconds after its first failed check",
        "2 failed checks",
        "AUC 0.2",
        "identical",
        "training-B",
        "Its ancestry is complete.",
        "late version 2",
        "environment:eeeeeeeeeeee",
    ):
        assert words in page, words


def test_it_tells_the_shadow_and_both_canaries_with_their_evidence(page: str) -> None:
    for words in (
        "Compared in the shadow",
        "3 of 300 answers differ.",
        "Canaries, decided by evidence",
        "promoted after 6.0 s",
        "taken back after 4.0 s",
        "release:shop-late@dddddddddddd was rolled back from shop/late",
        "The evidence reached an e-value of",
        "at most 1 in 100",
    ):
        assert words in page, words
    assert page.count("The canary of") == 2
    assert "D was left for" not in page, "the canary's section tells it"


def test_numbers_are_those_of_the_records_and_the_ledger(story: Story) -> None:
    report = Gatherer(story.context, story.facts, ENDPOINT).report()
    assert report.traffic is not None
    bad = sum(not record.good for record in story.records)
    own = sum(record.status == 500 for record in story.records)
    assert (report.traffic.sent, report.traffic.failed) == (4000, bad)
    assert (report.bad_planned, report.bad_failing, report.bad_candidate) == (0, bad - own, own)
    assert own > 5
    assert report.outcomes == 4000 - bad
    areas = {release.letter: release.area for release in report.releases if release.area}
    assert list(areas) == ["A", "B", "C", "D", "F"]
    assert areas["A"].n == 1000
    assert areas["A"].high < areas["B"].low  # type: ignore[operator]  # known: both have many
    assert [release.fate for release in report.releases] == [
        "served",
        "served",
        "serves",
        "rolled back",
        "refused",
        "rolled back",
    ]
    assert [release.held_out for release in report.releases] == [pytest.approx(0.64)] * 6
    assert [run.params["depth"] for run in report.runs] == [65, 66, 67, 68, 69, 70]


def test_canaries_are_read_back_from_their_events(story: Story) -> None:
    report = Gatherer(story.context, story.facts, ENDPOINT).report()
    good, bad = report.canaries
    assert (good.release.letter, good.outcome, bad.release.letter) == ("C", "promoted", "D")
    assert good.stable is not None
    assert good.stable.letter == "B"
    assert [step.percent for step in good.steps] == [10.0, 50.0, 100.0]
    assert [step.percent for step in bad.steps] == [20.0, 0.0]
    assert sum(look.candidate_errors for look in bad.looks) == report.bad_candidate
    assert sum(look.control_errors for look in (*good.looks, *bad.looks)) == 0
    assert [row.named for row in bad.metrics] == [True]
    (shadow,) = report.shadows
    assert (shadow.verdict, shadow.points[-1].pairs) == ("pass", 300)
    assert shadow.points[-1].disagreement.low < 0.01 < shadow.points[-1].disagreement.high
    assert shadow.points[-1].failures.low == 0.0


def test_sentences_that_a_loop_has_kept_are_preferred(story: Story) -> None:
    kept = replace(story.facts, explained={"D": ("It was D.",)})
    report = Gatherer(story.context, kept, ENDPOINT).report()
    assert [canary.sentences for canary in report.canaries][1] == ("It was D.",)
    assert report.canaries[0].sentences[0].startswith("release:shop-late@cccccccccccc was promoted")


def test_it_needs_nothing_from_elsewhere(page: str) -> None:
    loads = r'(?:src|href|action)\s*=\s*"|@import|url\(|<script|<link|<iframe'
    assert re.findall(loads, page) == []
    assert set(re.findall(r"https?://[^\s\"<]+", page)) <= {"http://www.w3.org/2000/svg"}


def test_what_others_wrote_stays_text(page: str) -> None:
    assert NASTY not in page
    assert "&lt;script&gt;" in page


def test_every_drawing_is_sound_and_has_a_name_and_words(page: str) -> None:
    drawings = re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)
    assert len(drawings) >= 9
    space = "{http://www.w3.org/2000/svg}"
    for drawing in drawings:
        root = ElementTree.fromstring(drawing)
        title = root.find(f"{space}title")
        assert title is not None
        assert title.text
        assert "nan" not in drawing.lower().replace("finance", "")


def test_the_lineage_is_drawn_with_every_node(story: Story, page: str) -> None:
    drawing = re.search(r"<svg[^>]*><title>Lineage of.*?</svg>", page, flags=re.DOTALL)
    assert drawing
    for kind in ("prediction", "release", "model", "run", "features", "dataset", "commit"):
        assert f"k-{kind}" in drawing.group()
    assert f"<title>{story.facts.prediction}</title>" in drawing.group()


def test_without_a_loop_the_newest_traffic_is_told(tmp_path: Path) -> None:
    story = told(tmp_path)
    try:
        summary = {
            "id": "replay", "endpoint": ENDPOINT, "url": "", "rate": 100.0, "pid": 1,
            "records": str(story.facts.records), "started": 1.0,
        }  # fmt: skip
        (tmp_path / ".triune/state/replay/replay.json").write_text(json.dumps(summary))
        page = build(story.context, None, tmp_path / "r.html").read_text()
    finally:
        story.context.close()
    assert f"What {ENDPOINT} did" in page
    assert "B takes over" in page
    assert "back on C" in page
    assert "taken back after 4.0 s" in page


def test_an_empty_workspace_has_a_report_too(tmp_path: Path) -> None:
    (tmp_path / "triune.toml").write_text(
        '[workspace]\nname = "shop"\n[endpoints."shop/late"]\nmodel = "late"\n'
    )
    context = Context(Workspace(tmp_path))
    try:
        state = LoopState(id="loop-1", basis="", started=1.0)
        page = build(context, from_state(state), tmp_path / "r.html").read_text()
        assert "Environment" in page
        with pytest.raises(NotFound) as caught:
            build(context, None, tmp_path / "r.html", endpoint="shop/other")
        assert caught.value.reference == "report-nothing-to-show"
    finally:
        context.close()


def test_the_command_writes_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    story = told(tmp_path)
    story.context.close()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["report", "--out", "mine.html", "--json"])
    assert ended.value.code == 0
    assert json.loads(capsys.readouterr().out)["report"] == str(tmp_path / "mine.html")
    assert (tmp_path / "mine.html").stat().st_size > 10_000
