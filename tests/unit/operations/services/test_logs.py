"""Reading logs: the end, what came since, deaths, following through a rotation."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

from triune.core.errors import NotFound
from triune.operations.services import logs


def test_the_tail_is_the_last_lines_however_long_the_log(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("".join(f"line {number} {'x' * 90}\n" for number in range(5000)))
    assert [line.split()[1] for line in logs.tail(log, 3)] == ["4997", "4998", "4999"]
    assert len(logs.tail(log, 2000)) == 2000
    assert logs.tail(log, 0) == []
    assert logs.tail(tmp_path / "none.log", 5) == []


def test_since_leaves_out_what_an_earlier_run_wrote(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("old\n")
    begin = logs.size(log)
    log.write_text("old\nnew\n")
    assert logs.tail(log, 10, since=begin) == ["new"]
    log.write_text("r\n")
    assert logs.tail(log, 10, since=begin) == ["r"]


def test_bytes_that_are_not_text_do_not_break_it(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_bytes(b"\xff\xfe ok\n")
    assert logs.tail(log, 1)[0].endswith(" ok")


def test_deaths_are_counted_since_the_supervisor_started(tmp_path: Path) -> None:
    log = tmp_path / "supervisor.log"
    log.write_text(
        "t WARN exited: web (exit status 1; not expected)\n"
        "t INFO supervisord started with pid 7\n"
        "t WARN exited: web (terminated by SIGKILL; not expected)\n"
        "t WARN exited: api (exit status 3; not expected)\n"
        "t WARN exited: web (exit status 3; not expected)\n"
        "t WARN stopped: db (exit status 0)\n"
    )
    assert logs.deaths(log) == {"web": 2, "api": 1}
    assert logs.deaths(tmp_path / "none") == {}


def test_an_unknown_name_is_answered_with_those_there_are(tmp_path: Path) -> None:
    (tmp_path / "web.log").touch()
    with pytest.raises(NotFound) as caught:
        logs.find(tmp_path, "../web")
    assert caught.value.reference == "log-not-found"
    assert caught.value.hint == "There are: web."


def test_following_goes_on_after_a_rotation_and_waits_for_whole_lines(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("one\ntw")
    lines = logs.follow(log, 0, pause=0.001)
    assert next(lines) == "one"
    with log.open("a") as file:
        file.write("o\nthree\n")
    assert list(islice(lines, 2)) == ["two", "three"]
    log.write_text("new\n")
    assert next(lines) == "new"
