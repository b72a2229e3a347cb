"""What Triune adds is, byte for byte, what plain `dvc add` would have left."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from triune.core.errors import NotFound, Refused, TriuneError
from triune.data.backends.dvc import DvcStore
from triune.data.fast import hashing
from triune.data.fast.hashing import hash_file
from triune.data.fast.index import HashIndex
from triune.data.fast.objects import Keeper
from triune.data.fast.scan import scan
from triune.data.model import Remote

pytestmark = pytest.mark.engine

TREES: dict[str, dict[str, bytes]] = {
    "plain": {"a.txt": b"a", "deep/b.txt": b"b", "deep/er/c.bin": bytes(range(256))},
    "names": {"with space.txt": b"1", "ünï.txt": b"2", "a.b/c": b"3", "a-b": b"4", "a/b": b"5"},
    "same": {"one": b"x" * 5000, "two": b"x" * 5000, "empty": b"", "also-empty": b""},
    "large": {"big.bin": os.urandom(1 << 20) + b"tail", "small": b"s"},
}


def plant(folder: Path, tree: dict[str, bytes]) -> None:
    for name, raw in tree.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(raw)


def dvc(root: Path, *words: str) -> str:
    program = Path(sys.executable).parent / "dvc"
    done = subprocess.run(
        [str(program), *words], cwd=root, capture_output=True, text=True, check=True
    )
    return done.stdout


def cached(root: Path) -> dict[str, bytes]:
    top = root / ".dvc" / "cache" / "files" / "md5"
    return {p.relative_to(top).as_posix(): p.read_bytes() for p in top.rglob("*") if p.is_file()}


def store_in(root: Path) -> DvcStore:
    return DvcStore(root, root / ".triune" / "dvc", Remote(str(root / ".triune" / "dvc-remote")))


@pytest.mark.parametrize("name", TREES)
def test_it_is_what_plain_dvc_leaves(tmp_path: Path, name: str) -> None:
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    for root in (mine, theirs):
        plant(root / "data" / "set", TREES[name])
        subprocess.run(["git", "init", "-q", str(root)], check=True)
    store = store_in(mine)
    tracked = store.add(mine / "data" / "set")
    dvc(theirs, "init", "-q")
    dvc(theirs, "add", "-q", "data/set")
    for file in ("set.dvc", ".gitignore"):
        assert (mine / "data" / file).read_text() == (theirs / "data" / file).read_text()
    assert cached(mine) == cached(theirs)
    assert "up to date" in dvc(mine, "status")

    store.push(tracked.content)
    assert "up to date" in dvc(mine, "push") or "Everything" in dvc(mine, "push")
    remote = mine / ".triune" / "dvc-remote" / "files" / "md5"
    assert {p.relative_to(remote).as_posix() for p in remote.rglob("*") if p.is_file()} == set(
        cached(mine)
    )


def test_a_single_file_too(tmp_path: Path) -> None:
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    for root in (mine, theirs):
        plant(root, {"notes.csv": b"x\n1\n"})
        subprocess.run(["git", "init", "-q", str(root)], check=True)
    store_in(mine).add(mine / "notes.csv")
    dvc(theirs, "init", "-q")
    dvc(theirs, "add", "-q", "notes.csv")
    assert (mine / "notes.csv.dvc").read_text() == (theirs / "notes.csv.dvc").read_text()
    assert cached(mine) == cached(theirs)


def test_files_that_are_as_they_were_are_not_read_again(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    plant(folder, TREES["plain"])
    old = 1_700_000_000
    for path in folder.rglob("*"):
        os.utime(path, (old, old))
    known = HashIndex(tmp_path / "index")
    first = known.hashes(folder)
    store = Keeper(tmp_path / "kept")
    assert known.hashes(folder, keep=store) == first
    assert not store.store.exists()
    (folder / "a.txt").write_bytes(b"A")
    changed = known.hashes(folder, keep=store)
    assert len(list(store.store.rglob("*/*"))) == 1
    assert changed[0].md5 != first[0].md5
    # Other bytes of the same size and time: only a reading of every byte finds them.
    (folder / "deep" / "b.txt").write_bytes(b"B")
    os.utime(folder / "deep" / "b.txt", (old, old))
    assert known.hashes(folder, trust=False)[1].md5 != first[1].md5


def test_a_file_that_changes_while_it_is_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "set"
    plant(folder, {"a.txt": b"a" * 100, "b.txt": b"b"})
    whole = hashing._sha

    def slowly(raw: bytes) -> str:
        if raw.startswith(b"a"):
            (folder / "a.txt").write_bytes(b"longer than before" * 10)
        return whole(raw)

    monkeypatch.setattr(hashing, "_sha", slowly)
    with pytest.raises(Refused, match=r"a\.txt") as caught:
        store_in(tmp_path).add(folder)
    assert caught.value.reference == "dataset-changing"
    assert not (tmp_path / "set.dvc").exists()


def test_a_large_file_is_kept_while_it_is_read(tmp_path: Path) -> None:
    raw = os.urandom(5 << 20)
    plant(tmp_path / "set", {"large.bin": raw, "again.bin": raw})
    store = Keeper(tmp_path / "kept")
    hashed = HashIndex(tmp_path / "index").hashes(tmp_path / "set", keep=store)
    (kept,) = (path for path in store.store.rglob("*") if path.is_file())
    assert kept.read_bytes() == raw
    assert kept.stat().st_mode & 0o777 == 0o444
    assert {one.md5 for one in hashed} == {kept.parent.name + kept.name}


def test_a_large_file_that_changes_leaves_nothing(tmp_path: Path) -> None:
    plant(tmp_path / "set", {"large.bin": b"x" * (3 << 20)})
    (entry,) = scan(tmp_path / "set")
    (tmp_path / "set" / "large.bin").write_bytes(b"y" * (2 << 20))
    with pytest.raises(Refused) as caught:
        hash_file(entry, Keeper(tmp_path / "kept"))
    assert caught.value.reference == "dataset-changing"
    assert not [path for path in (tmp_path / "kept").rglob("*") if path.is_file()]


def test_links_and_what_is_not_there_are_refused(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    with pytest.raises(NotFound) as missing:
        store.add(tmp_path / "set")
    assert missing.value.reference == "dataset-absent"
    plant(tmp_path / "set", {"a": b"a"})
    (tmp_path / "set" / "link").symlink_to("a")
    with pytest.raises(TriuneError, match="link") as odd:
        store.add(tmp_path / "set")
    assert odd.value.reference == "artifact-not-plain"


def test_a_damaged_object_is_not_pushed(tmp_path: Path) -> None:
    plant(tmp_path / "set", TREES["plain"])
    store = store_in(tmp_path)
    tracked = store.add(tmp_path / "set")
    (victim,) = [
        p for p in (tmp_path / ".dvc/cache/files/md5").rglob("*") if p.stat().st_size == 256
    ]
    victim.chmod(0o644)
    victim.write_bytes(bytes(256))
    with pytest.raises(Refused) as caught:
        store.push(tracked.content)
    assert caught.value.reference == "artifact-corrupt"
    assert not store.pushed(tracked.content)


def test_a_user_without_a_name_can_use_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that runs under a number alone."""

    def nobody_known(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)  # what is set meanwhile is taken back at the end
    monkeypatch.setattr(pwd, "getpwuid", nobody_known)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a").write_text("a")
    store = DvcStore(tmp_path, tmp_path / "dvc", Remote(str(tmp_path / "remote")))
    with store.opened() as repo:
        assert Path(repo.root_dir) == tmp_path
