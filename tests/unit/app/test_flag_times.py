"""The guard's look at scheduled changes of flags."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.support.governed import ADA, shop
from triune.app import flag_times
from triune.core.errors import Unavailable
from triune.delivery.flags.planning import Planning


def test_what_is_done_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with shop(tmp_path) as it:
        it.flags.default("new-ui", "on", "launch", actor=ADA, at=it.later(hours=1))
        it.clock.forward(hours=2)
        assert flag_times.look(it.plans) == ""
        assert "flag new-ui, new-ui.1 (default): done: 1 h late" in capsys.readouterr().out


def test_a_ledger_that_is_away_is_told_once_and_waited_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flag_times, "LOOK_SECONDS", 0.0)
    stop, looks = threading.Event(), 0

    def away(plans: Planning) -> list[object]:
        nonlocal looks
        looks += 1
        if looks == 5:
            stop.set()
        if looks in (1, 2, 4):
            raise Unavailable("ledger-unreachable", "nobody answers")
        return []

    monkeypatch.setattr(Planning, "carry_out", away)
    with shop(tmp_path) as it:
        flag_times.keep(it.plans, stop)
    said = capsys.readouterr().out
    assert looks == 5
    assert said.count("scheduled flags: ledger-unreachable: nobody answers") == 2
