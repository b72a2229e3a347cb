"""Readiness checks: every kind says yes and no, and survives being written down."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from triune.core.process import CommandReady, FileReady, HttpReady, Ready, TcpReady
from triune.operations.services.readiness import as_dict, from_dict, probe


class _Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/ok?x=1" else 503)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    server = HTTPServer(("127.0.0.1", 0), _Answers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


def test_http_is_ready_at_200_only(port: int) -> None:
    assert probe(HttpReady(f"http://127.0.0.1:{port}/ok?x=1"))
    assert not probe(HttpReady(f"http://127.0.0.1:{port}/no"))
    assert not probe(HttpReady("http://127.0.0.1:1/ok"))


def test_tcp_is_ready_when_it_accepts(port: int) -> None:
    assert probe(TcpReady(port))
    assert not probe(TcpReady(1))


def test_a_command_is_ready_at_exit_0_in_time() -> None:
    assert probe(CommandReady(("/bin/sh", "-c", 'test "$A" = 1'), {"A": "1"}))
    assert not probe(CommandReady(("/bin/sh", "-c", 'test "$A" = 1')))
    assert not probe(CommandReady(("/no/such/program",)))
    assert not probe(CommandReady(("/bin/sleep", "5")), timeout=0.05)


def test_a_file_counts_only_if_this_process_may_have_written_it(tmp_path: Path) -> None:
    file = tmp_path / "ready"
    assert not probe(FileReady(file), pid=os.getpid())
    file.touch()
    assert probe(FileReady(file), pid=os.getpid())
    assert not probe(FileReady(file), pid=None)
    past = time.time() - 3600
    os.utime(file, (past, past))
    with subprocess.Popen([sys.executable, "-I", "-S", "-c", "input()"], stdin=-1) as process:
        assert not probe(FileReady(file), pid=process.pid)
        process.communicate(b"\n")


@pytest.mark.parametrize(
    "ready",
    [
        HttpReady("http://127.0.0.1:1/x"),
        TcpReady(5),
        CommandReady(("a", "b"), {"C": "d"}),
        FileReady(Path("/x y")),
    ],
)
def test_a_check_survives_being_written_down(ready: Ready) -> None:
    assert from_dict(as_dict(ready)) == ready


def test_an_unknown_kind_is_an_error_that_lists_the_known() -> None:
    with pytest.raises(ValueError, match="known: http, tcp, command, file"):
        from_dict({"kind": "smoke-signal"})
