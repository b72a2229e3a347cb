"""Whatever an argument, variable or folder is called, the process gets exactly that."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from supervisor.options import UnhosedConfigParser

from triune.core.errors import Refused
from triune.core.process import FileReady, ProcessSpec
from triune.operations.services.backends import supervisord

_WORD = st.text(
    st.characters(blacklist_categories=("Cs", "Cc", "Zl", "Zp"), blacklist_characters="\x85")
    | st.sampled_from(" ;#%'\"\\=$`[](){}*?~&|<>\t"),
    max_size=20,
)
_KEY = st.from_regex(r"[A-Z][A-Z0-9_]{0,8}", fullmatch=True)


def _read(text: str) -> dict[str, str]:
    """What the supervisor's own reader makes of a program's file."""
    parser = UnhosedConfigParser()
    parser.expansions = {"ENV_HOME": "/x"}
    parser.read_string(text)
    return {key: parser.saneget("program:p", key) for key in parser.options("program:p")}


@given(
    st.lists(_WORD, min_size=1, max_size=4).filter(lambda words: words[0] != ""),
    st.dictionaries(_KEY, _WORD, max_size=3),
)
@example(["a ;b", "c #d", "%(ENV_HOME)s", " x ", "", "é"], {"A": "1 ; 2 # 3 % 'q' \"r\""})
@example(["/a=b/program", "x=y"], {})
def test_arguments_survive_the_supervisors_reader(argv: list[str], env: dict[str, str]) -> None:
    spec = ProcessSpec("p", tuple(argv), FileReady(Path("/r")), env=env, cwd=Path("/tmp"))
    words = shlex.split(_read(supervisord.program(spec, "m1", root=False))["command"])
    assert words[: 2 + 2 + len(env)] == [
        "/usr/bin/env",
        "--chdir=/tmp",
        "PYTHONUNBUFFERED=1",
        *(f"{key}={value}" for key, value in env.items()),
        "TRIUNE_MARKER=m1",
    ]
    assert words[-len(argv) :] == argv


def test_the_command_line_runs_a_program_whose_path_has_an_equals_sign(tmp_path: Path) -> None:
    program = tmp_path / "a=b; #c" / "show"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nprintf "%s|%s|%s|%s" "$PWD" "$A" "$1" "$TRIUNE_MARKER"\n')
    program.chmod(0o755)
    spec = ProcessSpec(
        "p", (str(program), "x #y"), FileReady(Path("/r")), env={"A": "1 ;2"}, cwd=program.parent
    )
    words = shlex.split(_read(supervisord.program(spec, "m1", root=False))["command"])
    shown = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert shown == f"{program.parent}|1 ;2|x #y|m1"


@pytest.mark.parametrize("word", ["a\nb", "a\0b", "a\rb"])
def test_a_line_break_is_refused(word: str) -> None:
    spec = ProcessSpec("p", ("x", word), FileReady(Path("/r")))
    with pytest.raises(Refused) as caught:
        supervisord.program(spec, "m1", root=False)
    assert caught.value.reference == "argument-not-one-line"


@pytest.mark.parametrize("name", ["", "a b", "a/b", "../a", "a]", "a:b", "-a", "x" * 101])
def test_a_name_that_could_leave_its_file_is_refused(name: str) -> None:
    with pytest.raises(Refused) as caught:
        supervisord.program(ProcessSpec(name, ("x",), FileReady(Path("/r"))), "m", root=False)
    assert caught.value.reference == "process-name-invalid"
