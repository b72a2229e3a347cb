"""The last good flags on disk: believed only when they are what was written."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.flag_servers import flag, flags_of
from triune.core.errors import Conflict, Refused
from triune.core.files import locked
from triune.delivery.flags.cache import Cache

GOOD = flags_of(flag("a"), flag("b", "on"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "flags" / "kept.json"


def test_what_was_kept_is_there_again(path: Path) -> None:
    assert Cache(path).load() is None
    Cache(path).keep(GOOD)
    assert Cache(path).load() == GOOD
    assert path.stat().st_mode & 0o077 == 0


def test_the_same_flags_are_not_written_again(path: Path) -> None:
    Cache(path).keep(GOOD)
    before = path.stat().st_ino
    Cache(path).keep(flags_of(flag("b", "on"), flag("a")))
    assert path.stat().st_ino == before
    Cache(path).keep(flags_of(flag("a")))
    assert Cache(path).load() == flags_of(flag("a"))


def test_two_do_not_write_at_once(path: Path) -> None:
    with locked(path.with_suffix(".lock")), pytest.raises(Conflict):
        Cache(path).keep(GOOD)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
def test_a_write_that_was_cut_off_is_not_used(path: Path, share: float) -> None:
    Cache(path).keep(GOOD)
    raw = path.read_bytes()
    path.write_bytes(raw[: int(len(raw) * share)])
    cache = Cache(path)
    with pytest.raises(Refused, match="not used"):
        cache.load()
    cache.keep(GOOD)
    assert Cache(path).load() == GOOD


@pytest.mark.parametrize(
    ("old", "new"), [(b"ENABLED", b"ENABLEX"), (b'"version"', b'"v"'), (b'{"ver', b'["ver')]
)
def test_what_somebody_changed_is_not_used(path: Path, old: bytes, new: bytes) -> None:
    Cache(path).keep(GOOD)
    path.write_bytes(path.read_bytes().replace(old, new, 1))
    if old == b'"version"':
        assert Cache(path).load() == GOOD  # only the checksum speaks for the flags
        return
    with pytest.raises(Refused):
        Cache(path).load()


def test_a_folder_in_its_place_is_told(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(Refused):
        Cache(path).load()
    with pytest.raises(OSError, match="directory"):
        Cache(path).keep(GOOD)
