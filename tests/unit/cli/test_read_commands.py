"""Read commands on a workspace with nothing in it, and lineage at the width of a terminal."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import socket
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.events import made
from triune.cli.main import main
from triune.cli.rollout import _not_ready
from triune.core.workspace import Workspace
from triune.delivery.client import ready
from triune.ledger.service import Ledger

Call = Callable[..., tuple[int, str]]
SHA = "abea17e65cf660ea625f5b2544a665bffa640624"
ENVIRONMENT = "environment:89b24c57a4cb"
METRICS = {f"metric_number_{n}": 0.7396374163441722 + n for n in range(6)}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "triune.toml").write_text(
        '[workspace]\nname = "test"\n[datasets.d]\npath = "data/d"\n'
    )
    return Workspace(tmp_path)


@pytest.fixture
def call(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> Call:
    def run(*arguments: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            main(["--workspace", str(workspace.root), *arguments])
        return int(ended.value.code or 0), capsys.readouterr().out

    return run


@pytest.fixture
def model(workspace: Workspace) -> str:
    ref = "model:delay@1"
    url = f"sqlite:///{workspace.ledger_path}"
    ledger = Ledger.open(url, workspace.journal, workspace="test")
    packages = {f"package-{n}": f"{n}.0" for n in range(200)}
    parents = {f"commit:{SHA}": "commit", ENVIRONMENT: "environment"}
    facts = {"name": "delay", "version": 1, "run": "run:r", "digest": "sha256:12"}
    ledger.record(
        [
            made("commit.recorded", f"commit:{SHA}", payload={"commit": SHA}),
            made("environment.recorded", ENVIRONMENT, payload={"packages": packages}),
            made("run.finished", "run:r", payload={"name": "asof"}, parents=parents),
            made(
                "model.registered", ref,
                payload={**facts, "metrics": METRICS}, parents={"run:r": "run"},
            ),
        ]
    )  # fmt: skip
    ledger.close()
    return ref


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("runs",), "`triune train"),
        (("runs", "--where", "auc>0.6"), "no run meets the conditions"),
        (("models", "list"), "`triune train"),
        (("release", "list"), "`triune release create"),
        (("events",), "no event matches"),
        (("data", "log", "d"), "`triune data add d`"),
        (("rollout", "status"), "[endpoints.<name>]"),
        (("logs",), "`triune up`"),
        (("lineage", "--coverage"), "nothing to cover yet"),
    ],
)
def test_where_there_is_nothing_the_next_step_is_said(
    call: Call, arguments: tuple[str, ...], words: str
) -> None:
    code, out = call(*arguments)
    assert code == 0
    assert words in out
    assert len(out.splitlines()) == 1


def test_the_coverage_of_nothing_is_null_for_programs(call: Call) -> None:
    code, out = call("lineage", "--coverage", "--json")
    assert (code, json.loads(out)["share"]) == (0, None)


def test_an_arm_that_does_not_run_is_said_in_plain_words() -> None:
    with socket.socket() as bound:  # not listening: connections are refused
        bound.bind(("127.0.0.1", 0))
        alive, words = ready("127.0.0.1", bound.getsockname()[1], timeout=1)
    assert not alive
    assert _not_ready(words) == "no: it does not answer; `triune up` starts it"
    assert _not_ready("answered 503") == "no: answered 503"


def command(workspace: Workspace, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "triune.cli.main", "-w", str(workspace.root), *arguments]


def in_terminal(workspace: Workspace, *arguments: str, columns: int) -> str:
    """What a command prints in a terminal of so many columns, without its colours."""
    outer, inner = pty.openpty()
    fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    plain = {key: value for key, value in os.environ.items() if key not in {"COLUMNS", "LINES"}}
    with subprocess.Popen(
        command(workspace, *arguments),
        stdin=inner, stdout=inner, stderr=inner, env={**plain, "TERM": "xterm-256color"},
    ) as process:  # fmt: skip
        os.close(inner)
        read = b""
        try:
            while part := os.read(outer, 65536):
                read += part
        except OSError:  # how Linux tells that the other side is closed
            assert process.wait(30) == 0
        finally:
            os.close(outer)
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", read.decode()).replace("\r", "")


def test_lineage_in_a_pipe_of_80_columns_is_whole(workspace: Workspace, model: str) -> None:
    done = subprocess.run(
        command(workspace, "lineage", model),
        capture_output=True, text=True, check=True, env={**os.environ, "COLUMNS": "80"},
    )  # fmt: skip
    words = " ".join(f"{name}={value:.6g}" for name, value in METRICS.items())
    assert f"metrics: {words}\n" in done.stdout


def test_lineage_in_a_terminal_of_80_columns_wraps(workspace: Workspace, model: str) -> None:
    out = in_terminal(workspace, "lineage", model, columns=80)
    assert all(len(line) <= 80 for line in out.splitlines())
    for name, value in METRICS.items():
        assert f"{name}={value:.6g}" in out


def test_lineage_says_a_reference_once_and_counts_long_tables(call: Call, model: str) -> None:
    _, out = call("lineage", model)
    assert out.count(SHA) == 1
    assert out.count("run:r") == 2  # the node, and the gap it has no dataset
    assert "name delay" not in out
    assert "version 1" not in out
    assert "name asof" in out
    assert "packages: 200 entries (--json shows them)" in out
    assert "package-7" not in out
