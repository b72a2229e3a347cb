"""What every content store must do: DVC itself and the fake that stands for it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.data import FolderStore
from triune.core.errors import NotFound, Refused
from triune.data.backends.dvc import DvcStore
from triune.data.model import Remote
from triune.data.ports import ContentStore


@pytest.fixture(params=["fake", pytest.param("dvc", marks=pytest.mark.engine)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ContentStore:
    home = tmp_path / ".triune"
    if request.param == "fake":
        return FolderStore(home)
    return DvcStore(tmp_path, home / "dvc", Remote(str(home / "dvc-remote")))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "data" / "sales"
    (path / "deep").mkdir(parents=True)
    (path / "a.txt").write_text("a")
    (path / "deep" / "b.txt").write_text("b")
    return path


def test_content_comes_back_by_its_key(store: ContentStore, folder: Path) -> None:
    assert store.tracked(folder) is None
    tracked = store.add(folder)
    assert store.tracked(folder) == tracked
    assert tracked.file == folder.with_name("sales.dvc")
    objects = store.objects(tracked.content)
    assert {name: path.read_text() for name, path in objects.items()} == {
        "a.txt": "a",
        "deep/b.txt": "b",
    }
    assert store.add(folder) == tracked


def test_old_content_stays_after_the_folder_moved_on(store: ContentStore, folder: Path) -> None:
    old = store.add(folder)
    (folder / "a.txt").write_text("changed")
    new = store.add(folder)
    assert old.content != new.content
    assert store.objects(old.content)["a.txt"].read_text() == "a"
    assert store.objects(new.content)["a.txt"].read_text() == "changed"


def test_the_remote_gives_back_what_the_cache_lost(
    store: ContentStore, folder: Path, tmp_path: Path
) -> None:
    tracked = store.add(folder)
    assert not store.pushed(tracked.content)
    store.push(tracked.content)
    assert store.pushed(tracked.content)
    _lose_cache(tmp_path)
    assert store.objects(tracked.content)["deep/b.txt"].read_text() == "b"


def test_content_that_only_the_remote_has_is_pushed_already(
    store: ContentStore, folder: Path, tmp_path: Path
) -> None:
    tracked = store.add(folder)
    store.push(tracked.content)
    store.push(tracked.content)
    if isinstance(store, DvcStore):
        _lose_cache(tmp_path)
        store.push(tracked.content)
    assert store.pushed(tracked.content)


def test_content_that_is_nowhere_is_not_found(
    store: ContentStore, folder: Path, tmp_path: Path
) -> None:
    tracked = store.add(folder)
    _lose_cache(tmp_path)
    with pytest.raises(NotFound) as caught:
        store.objects(tracked.content)
    assert caught.value.reference == "dataset-content-missing"


def test_a_single_file_has_the_empty_name(store: ContentStore, tmp_path: Path) -> None:
    path = tmp_path / "notes.csv"
    path.write_text("k\n1\n")
    tracked = store.add(path)
    store.push(tracked.content)
    assert store.pushed(tracked.content)
    assert store.objects(tracked.content)[""].read_text() == "k\n1\n"


def _lose_cache(root: Path) -> None:
    for cache in (root / ".triune" / "cache", root / ".dvc" / "cache"):
        shutil.rmtree(cache, ignore_errors=True)


@pytest.mark.engine
def test_plain_dvc_works_on_the_same_files(folder: Path, tmp_path: Path) -> None:
    store = DvcStore(
        tmp_path, tmp_path / ".triune/dvc", Remote(str(tmp_path / ".triune/dvc-remote"))
    )
    store.push(store.add(folder).content)

    def dvc(*arguments: str) -> str:
        command = [sys.executable, "-m", "dvc", *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout

    assert "up to date" in dvc("status")
    assert "up to date" in dvc("push")
    shutil.rmtree(folder)
    dvc("checkout")
    assert (folder / "deep" / "b.txt").read_text() == "b"


@pytest.mark.engine
def test_in_a_subfolder_of_a_git_repository_git_stays_untouched(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    root = tmp_path / "examples" / "shop"
    (root / "data").mkdir(parents=True)
    (root / "data" / "x.txt").write_text("x")
    store = DvcStore(root, root / ".triune" / "dvc", Remote(str(root / ".triune" / "dvc-remote")))
    tracked = store.add(root / "data" / "x.txt")
    assert tracked.file == root / "data" / "x.txt.dvc"
    assert (root / "data" / ".gitignore").read_text() == "/x.txt\n"
    staged = subprocess.run(
        ["git", "-C", str(tmp_path), "diff", "--cached", "--name-only"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert staged.stdout == ""


@pytest.mark.engine
def test_secrets_of_an_object_store_are_the_owners_only_and_leave_with_it(tmp_path: Path) -> None:
    folder = Remote(str(tmp_path / ".triune" / "dvc-remote"))
    s3 = Remote("s3://dvc/shop", "http://127.0.0.1:1", "triune", "hidden-word", "us-east-1")
    (tmp_path / "x.txt").write_text("x")
    local = tmp_path / ".dvc" / "config.local"
    DvcStore(tmp_path, tmp_path / ".triune" / "dvc", s3).add(tmp_path / "x.txt")
    assert "hidden-word" in local.read_text()
    command = [sys.executable, "-m", "dvc", "remote", "list"]
    listed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert listed.stdout.split()[:2] == ["triune", "s3://dvc/shop"]
    assert local.stat().st_mode & 0o777 == 0o600
    assert "hidden-word" not in (tmp_path / ".dvc" / "config").read_text()
    assert "hidden-word" not in repr(s3)
    local.write_text(local.read_text() + "[cache]\n    type = copy\n")
    DvcStore(tmp_path, tmp_path / ".triune" / "dvc", folder).add(tmp_path / "x.txt")
    assert "hidden-word" not in local.read_text()
    assert "type = copy" in local.read_text()


@pytest.mark.engine
def test_a_damaged_listing_is_refused(folder: Path, tmp_path: Path) -> None:
    store = DvcStore(
        tmp_path, tmp_path / ".triune/dvc", Remote(str(tmp_path / ".triune/dvc-remote"))
    )
    content = store.add(folder).content
    listing = tmp_path / ".dvc/cache/files/md5" / content[:2] / content[2:]
    listing.chmod(0o644)
    listing.write_bytes(listing.read_bytes().replace(b"a.txt", b"z.txt"))
    with pytest.raises(Refused) as caught:
        store.objects(content)
    assert caught.value.reference == "artifact-corrupt"
