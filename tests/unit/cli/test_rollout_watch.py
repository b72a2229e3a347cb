"""Watching a rollout: a look once, in order, until it is over, in each of the three ways."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Iterator

import pytest
from rich.console import Console

from tests.support import rollout_views as made
from tests.support.rollout_views import Log
from triune.cli import rollout_watch as watching
from triune.cli.rollout_looks import Looks
from triune.cli.rollout_standstill import Standstill
from triune.core.errors import Unavailable
from triune.delivery.rollout.view import RolloutView


@pytest.fixture(autouse=True)
def universal_time(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    monkeypatch.setattr(watching, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(watching.time, "sleep", lambda seconds: None)
    yield
    monkeypatch.undo()
    time.tzset()


MOVES = Standstill(lambda: "")
Ask = Callable[[], RolloutView]


def story(*views: RolloutView) -> tuple[Ask, Looks]:
    """A rollout that stands like this at each question; its looks arrive as it counts them."""
    log, events, left = Log([]), made.looks(bad=True), list(views)

    def ask() -> RolloutView:
        now = left.pop(0) if len(left) > 1 else left[0]
        log.events[:] = events[: now.looks]
        return now

    return ask, Looks(log.select, views[0])


def test_as_json_there_is_one_object_for_each_look() -> None:
    said: list[str] = []
    ask, looks = story(made.canary(looks=3), made.canary(looks=3), made.rolled_back())
    watching.watch_json(ask, looks, said.append)
    found = [json.loads(line) for line in said]
    assert [one["number"] for one in found] == list(range(1, 54))
    assert found[0]["time"] == "2026-01-01T00:00:10+00:00"
    assert (found[0]["kind"], found[-1]["action"]) == ("rollout.looked", "roll-back")


def test_as_lines_phases_pauses_and_looks_are_told_in_order() -> None:
    said: list[str] = []
    ask, looks = story(
        made.blue_green("smoking", sentence="Its smoke tests run."),
        made.canary(looks=1),
        made.canary(looks=1),
        made.canary(looks=2, paused=made.PAUSE),
        made.rolled_back(),
    )
    watching.watch_lines(ask, looks, said.append, MOVES)
    assert said[0] == "smoking: Its smoke tests run."
    assert said[1].startswith("canary: A share of the units")
    assert said[2].startswith("00:00:10  look 1  1 %  e 0.984 of 100  candidate 0/10, stable 10/")
    assert said[3] == "canary: paused since 00:01:40 by user:ada: the on-call asks to wait"
    assert said[4].startswith("00:00:20  look 2")
    assert "look 53  5 %" in said[-2]
    assert said[-1].startswith("rolled-back: All users are back on the stable release.")
    assert len(said) == 2 + 1 + 53 + 1


def test_a_look_without_readings_says_why() -> None:
    assert "the gateway does not answer" in watching.line(made.looks(20)[-1])


def test_a_comparison_is_a_line_too() -> None:
    assert watching.line(made.comparison()) == (
        "00:00:10  812 answers compared  not yet: 812 of 1000 answers"
    )


def test_a_rollout_without_looks_ends_the_watch_when_it_is_over() -> None:
    said: list[str] = []
    ask, looks = story(made.blue_green("starting"), made.blue_green())
    watching.watch_lines(ask, looks, said.append, MOVES)
    assert said[-1] == "promoted: The candidate serves all users."


def test_the_last_look_is_waited_for_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "LAST_LOOK_SECONDS", 0.01)
    said: list[str] = []
    watching.watch_json(made.rolled_back, Looks(Log([]).select, made.canary()), said.append)
    assert said == []


def test_a_ledger_that_is_down_does_not_keep_a_watch_from_ending() -> None:
    def down(query: object) -> object:
        raise Unavailable("ledger-unreachable", "the ledger does not answer")

    said: list[str] = []
    looks = Looks(down, made.canary())  # type: ignore[arg-type]
    watching.watch_lines(made.rolled_back, looks, said.append, MOVES)
    assert said[0].startswith("rolled-back: ")


def terminal(heard: io.StringIO) -> Console:
    return Console(
        file=heard,
        force_terminal=True,
        width=80,
        height=24,
        color_system=None,
        legacy_windows=False,
    )


def test_a_standstill_is_said_once_in_lines_and_shown_in_pictures() -> None:
    seconds = iter(range(0, 1000, 10))
    still = Standstill(lambda: "controller does not run", lambda: float(next(seconds)))
    waits = [made.blue_green("starting", sentence="Its process starts.")] * 6
    said: list[str] = []
    watching.watch_lines(*story(*waits, made.blue_green()), said.append, still)
    assert said.count("waiting: Controller does not run.") == 1
    heard = io.StringIO()
    watching.watch_live(*story(*waits, made.blue_green()), terminal(heard), still)
    assert "Controller does not run." in heard.getvalue()


def test_live_the_last_picture_stays_behind() -> None:
    heard = io.StringIO()
    ask, looks = story(made.canary(looks=45), made.rolled_back())
    watching.watch_live(ask, looks, terminal(heard), MOVES)
    _, _, after = heard.getvalue().rpartition("\x1b[?1049l")
    assert "flights/delay: canary of 3f2a9c01b7de" in after
    assert "e-value (- decides: 100)" in after


def test_live_an_interruption_leaves_the_picture_too() -> None:
    heard, asked = io.StringIO(), [0]
    inner, looks = story(made.canary(looks=45))

    def ask() -> RolloutView:
        asked[0] += 1
        if asked[0] > 2:
            raise KeyboardInterrupt
        return inner()

    with pytest.raises(KeyboardInterrupt):
        watching.watch_live(ask, looks, terminal(heard), MOVES)
    assert "step 2 of 4" in heard.getvalue().rpartition("\x1b[?1049l")[2]


def test_live_a_ledger_that_is_down_is_said() -> None:
    def down(query: object) -> object:
        raise Unavailable("ledger-unreachable", "the ledger does not answer")

    heard = io.StringIO()
    looks = Looks(down, made.canary())  # type: ignore[arg-type]
    watching.watch_live(made.rolled_back, looks, terminal(heard), MOVES)
    assert "The plots stand still: the ledger does not answer." in heard.getvalue()
