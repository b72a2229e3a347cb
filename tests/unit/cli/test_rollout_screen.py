"""The picture of a rollout, character by character, at two sizes of terminal.

After a wanted change: ``python -m tests.unit.cli.test_rollout_screen`` writes the pictures anew.
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from rich.console import Console

from tests.support import rollout_views as made
from triune.cli.rollout_screen import Size, decisions, picture
from triune.delivery.rollout.view import RolloutView
from triune.ledger.envelope import Event

FOLDER = Path(__file__).parent / "pictures"
SHOWN: dict[str, tuple[RolloutView, Sequence[Event]]] = {
    "canary": (made.canary(), made.looks()),
    "paused": (made.canary(paused=made.PAUSE), made.looks()),
    "rolled-back": (made.rolled_back(), made.looks(bad=True)),
    "shadow": (made.shadowed(), [made.comparison()]),
    "blue-green": (made.blue_green(), []),
}
SIZES = ((80, 24), (120, 40))


@pytest.fixture(autouse=True)
def universal_time(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def drawn(name: str, width: int, height: int) -> str:
    view, events = SHOWN[name]
    console = Console(width=width, height=height, file=io.StringIO(), color_system=None)
    with console.capture() as captured:
        size = Size(width, height - 1, colour=False)
        console.print(picture(view, events, made.BEGUN + 533, size))
    return "\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n"


@pytest.mark.parametrize("name", SHOWN)
@pytest.mark.parametrize("size", SIZES)
def test_the_picture_is_as_it_was(name: str, size: tuple[int, int]) -> None:
    width, height = size
    text = drawn(name, width, height)
    assert text == (FOLDER / f"{name}-{width}.txt").read_text()
    assert all(len(line) <= width for line in text.splitlines())
    assert len(text.splitlines()) < height


@pytest.mark.parametrize(("width", "height"), [(40, 12), (60, 20), (200, 60), (30, 8)])
@pytest.mark.parametrize("name", SHOWN)
def test_no_line_is_wider_than_the_terminal(name: str, width: int, height: int) -> None:
    assert all(len(line) <= width for line in drawn(name, width, height).splitlines())


def test_what_is_said_is_whole_at_80_columns() -> None:
    text = " ".join(drawn("rolled-back", 80, 24).split())
    assert "All users are back on the stable release." in text
    assert "The candidate makes errors worse (e-value 163)." in text


def test_a_look_that_is_due_says_for_how_long() -> None:
    console = Console(width=100, file=io.StringIO(), color_system=None)
    with console.capture() as captured:
        late = made.BEGUN + 600
        console.print(picture(made.canary(), made.looks(), late, Size(100, 30, colour=False)))
    assert "next look due for 60 s" in captured.get()


def test_decisions_are_what_acted_each_gap_once_and_the_last_look() -> None:
    told = decisions(made.looks(bad=True))
    assert [line.partition(": ")[0][9:] for line in told] == [
        "not yet", "pass, advance", "fail, roll-back",
    ]  # fmt: skip
    assert told[0].endswith("the gateway does not answer")
    assert decisions([]) == []


def test_colours_are_left_to_terminals_that_have_them() -> None:
    console = Console(width=80, file=io.StringIO(), force_terminal=True, color_system="standard")
    with console.capture() as captured:
        console.print(picture(made.canary(), made.looks(), made.BEGUN, Size(80, 23)))
    assert "\x1b[" in captured.get()
    assert "\x1b[" not in drawn("canary", 80, 24)


if __name__ == "__main__":
    import os

    os.environ["TZ"] = "UTC"
    time.tzset()
    for shown in SHOWN:
        for columns, lines in SIZES:
            (FOLDER / f"{shown}-{columns}.txt").write_text(drawn(shown, columns, lines))
