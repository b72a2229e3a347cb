"""Files are never half written; locks exclude; secrets stay private."""

from __future__ import annotations

import multiprocessing
import os
import stat
from pathlib import Path

import pytest

from triune.core import files
from triune.core.errors import Conflict, Refused


def test_a_failed_write_leaves_the_old_bytes_and_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "state.json"
    files.write_atomic(target, "old")

    def no_space(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", no_space)
    with pytest.raises(OSError, match="No space"):
        files.write_atomic(target, "new")
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["state.json"]


def test_a_missing_json_file_is_none(tmp_path: Path) -> None:
    assert files.read_json(tmp_path / "nothing.json") is None
    files.write_json(tmp_path / "some.json", {"a": [1]})
    assert files.read_json(tmp_path / "some.json") == {"a": [1]}


@pytest.mark.parametrize("content", [b"{", b"", b"\xff\xfe\xfd", b"[" * 100_000])
def test_a_broken_json_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ports.json"
    path.write_bytes(content)
    with pytest.raises(Refused) as caught:
        files.read_json(path)
    assert caught.value.reference == "file-broken"
    assert caught.value.context == str(path)


def test_a_secret_is_made_once_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "secrets" / "db"
    first = files.secret(path)
    assert files.secret(path) == first
    assert len(first) >= 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def _make_secret(path: Path) -> str:
    return files.secret(path)


def test_processes_that_race_for_a_secret_get_the_same_one(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with context.Pool(4) as pool:
        made = pool.map(_make_secret, [tmp_path / "s"] * 16)
    assert len(set(made)) == 1


def test_a_held_lock_is_a_conflict(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with files.locked(lock), pytest.raises(Conflict) as caught, files.locked(lock, wait=False):
        pass
    assert caught.value.reference == "already-running"
    with files.locked(lock, wait=False):
        pass


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x"])
def test_a_path_that_leaves_its_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(Refused) as caught:
        files.inside(tmp_path, name)
    assert caught.value.reference == "path-leaves-folder"


def test_a_link_that_leaves_its_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link").symlink_to("/etc")
    with pytest.raises(Refused):
        files.inside(tmp_path / "in", "link/passwd")
    assert files.inside(tmp_path / "in", "a/b") == (tmp_path / "in" / "a" / "b").resolve()


def test_a_copy_has_bytes_mode_and_time_and_a_link_stays_one(tmp_path: Path) -> None:
    source, link = tmp_path / "source", tmp_path / "link"
    source.write_bytes(os.urandom(100_000))
    source.chmod(0o640)
    os.utime(source, ns=(1_000_000_001, 2_000_000_003))
    link.symlink_to("source")
    files.copied(source, tmp_path / "copy")
    files.copied(link, tmp_path / "other")
    assert (tmp_path / "copy").read_bytes() == source.read_bytes()
    facts = (tmp_path / "copy").stat()
    assert (facts.st_mode & 0o777, facts.st_mtime_ns) == (0o640, 2_000_000_003)
    assert (tmp_path / "other").readlink() == Path("source")
    source.write_bytes(b"new")
    assert len((tmp_path / "copy").read_bytes()) == 100_000
    with pytest.raises(FileNotFoundError):
        files.copied(tmp_path / "absent", tmp_path / "x")
