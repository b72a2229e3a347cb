"""A file many append to: whole lines, a limit, a disk that is full, a reader that takes it away."""

from __future__ import annotations

import os
import resource
from pathlib import Path

from triune.models.serving.shared import Outcome, SharedFile

LINE = b"x" * 99 + b"\n"


def in_child(work: object) -> int:
    """Run in a forked process; its exit status."""
    pid = os.fork()
    if pid == 0:
        try:
            work()  # type: ignore[operator]
            os._exit(0)
        except BaseException:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_several_processes_never_mix_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "shared"

    def write(letter: bytes) -> None:
        file = SharedFile(path)
        for length in range(1, 200):
            file.append([letter * length + b"\n"] * 20)

    children = []
    for letter in (b"a", b"b", b"c"):
        pid = os.fork()
        if pid == 0:
            write(letter)
            os._exit(0)
        children.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0, 0, 0]
    lines = path.read_bytes().splitlines()
    assert len(lines) == 3 * 199 * 20
    assert all(len(set(line)) == 1 for line in lines)


def test_it_ends_at_its_limit_and_counts_what_has_no_room(tmp_path: Path) -> None:
    file = SharedFile(tmp_path / "shared", limit_bytes=250)
    assert file.append([LINE]) == Outcome(written=1)
    assert file.append([LINE] * 3) == Outcome(written=1, full=2)
    assert file.append([LINE]) == Outcome(full=1)
    assert (tmp_path / "shared").read_bytes() == LINE * 2


def test_a_file_taken_away_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "shared"
    file = SharedFile(path, limit_bytes=250)
    assert file.append([LINE] * 3) == Outcome(written=2, full=1)
    path.rename(tmp_path / "taken")
    assert file.append([LINE]) == Outcome(written=1)
    path.unlink()
    assert file.append([LINE]) == Outcome(written=1)
    assert path.read_bytes() == LINE
    os.truncate(path, 0)
    assert file.append([LINE]) == Outcome(written=1)
    assert path.read_bytes() == LINE
    assert (tmp_path / "taken").read_bytes() == LINE * 2


def test_a_disk_without_room_costs_only_the_lines() -> None:
    file = SharedFile(Path("/dev/full"))
    assert file.append([LINE] * 2) == Outcome(failed=2)


def test_a_folder_that_cannot_be_made_costs_only_the_lines(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    file = SharedFile(tmp_path / "file" / "shared")
    assert file.append([LINE]) == Outcome(failed=1)


def test_a_disk_that_fills_up_in_a_line_leaves_a_torn_one(tmp_path: Path) -> None:
    path = tmp_path / "shared"

    def fill() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (250, 250))
        file = SharedFile(path)
        assert file.append([LINE] * 4) == Outcome(written=2, failed=2)
        assert file.append([LINE]) == Outcome(failed=1)

    assert in_child(fill) == 0
    assert path.read_bytes() == LINE * 2 + LINE[:50]
