"""Whatever way a file is read, the watcher sees it; what a process made itself is not a read."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from triune.core.reads.model import Capture, Seen
from triune.core.reads.watcher import Watcher

EVERY_WAY = (
    *("python", "arrow", "duckdb", "child", "shell", "thread", "forked", "folder", "link"),
    *("hard_link", "sqlite", "program"),
)


def _watch(folder: Path, how: str, *, kernel: bool = True) -> Seen:
    found: list[Seen] = []

    def explain(seen: Seen) -> bytes:
        found.append(seen)
        return b"{}"

    watcher = Watcher(explain)
    channel = watcher.theirs.fileno()
    environment = {**os.environ, **({} if kernel else {"TRIUNE_TEST_NO_KERNEL": "1"})}
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.support.reading", str(channel), how, str(folder)],
        pass_fds=(channel,),
        env=environment,
    )
    watcher.start()
    assert child.wait(60) == 0
    return found[0]


def test_processes_watched_at_the_same_time_are_told_apart(tmp_path: Path) -> None:
    folders = [tmp_path / str(number) for number in range(4)]
    for folder in folders:
        folder.mkdir()
        for number in range(400):
            (folder / f"{number}.csv").write_text("a")
    with ThreadPoolExecutor(len(folders)) as pool:
        seen = list(pool.map(lambda folder: _watch(folder, "many"), folders))
    for folder, found in zip(folders, seen, strict=True):
        assert _below(folder, found) == {f"{number}.csv" for number in range(400)}
        assert not any(_below(other, found) - {".."} for other in folders if other != folder)


def _below(folder: Path, seen: Seen) -> set[str]:
    root = os.path.realpath(folder)
    return {os.path.relpath(path, root) for path in seen.files if path.startswith(root)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "wanted.csv").write_text("a\n1\n")
    return tmp_path


@pytest.mark.parametrize("how", EVERY_WAY)
def test_a_file_is_seen_whatever_way_it_is_read(folder: Path, how: str) -> None:
    facts = (folder / "wanted.csv").stat()
    seen = _watch(folder, how)
    assert _below(folder, seen) == {"wanted.csv"}
    (read,) = [one for path, one in seen.files.items() if path.startswith(os.path.realpath(folder))]
    assert (read.size, read.mtime_ns) == (facts.st_size, facts.st_mtime_ns)
    assert seen.capture is Capture.KERNEL
    assert seen.lost == 0


@pytest.mark.parametrize("how", ["own", "absent"])
def test_what_it_made_itself_and_what_is_not_there_is_no_read(folder: Path, how: str) -> None:
    assert _below(folder, _watch(folder, how)) == set()


def test_a_peer_outside_is_seen_and_one_of_its_own_is_not(folder: Path) -> None:
    assert _watch(folder, "own_server").connections == set()
    with socket.create_server(("127.0.0.1", 0)) as server:
        host, port = server.getsockname()
        (folder / "wanted.csv").write_text(f"{host}:{port}")
        assert _watch(folder, "other_server").connections == {f"tcp://{host}:{port}"}


@pytest.mark.parametrize("how", ["python", "thread", "link", "sqlite"])
def test_without_the_kernel_python_s_own_reads_are_seen_and_it_says_so(
    folder: Path, how: str
) -> None:
    seen = _watch(folder, how, kernel=False)
    assert _below(folder, seen) == {"wanted.csv"}
    assert seen.capture is Capture.PYTHON


def test_without_the_kernel_its_own_files_are_its_own(folder: Path) -> None:
    assert _below(folder, _watch(folder, "own", kernel=False)) == set()
