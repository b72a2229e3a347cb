"""Dataset versions through the service, over a content store in plain folders."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.data import Shop, shop_in
from triune.core.errors import Conflict, NotFound, Refused, TriuneError, Unavailable
from triune.core.ids import digest_tree
from triune.data.model import State


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return shop_in(tmp_path / "shop")


def test_build_then_add_records_one_version_with_every_file(shop: Shop) -> None:
    assert shop.data.build("sales").changed
    version = shop.data.add("sales")

    folder = shop.workspace.root / "data" / "sales"
    assert version.digest == digest_tree(folder)
    assert version.ref == f"dataset:sales@{version.digest[7:19]}"
    assert [file.name for file in version.files] == ["a.csv", "deep/b.txt"]
    assert version.files[0].rows == 2
    assert version.files[0].columns == ("x", "y")
    (event,) = shop.log.events
    assert (event.kind, event.subject, event.edges) == ("dataset.versioned", version.ref, ())
    assert event.payload["dvc"]["content"] == version.content
    assert shop.store.pushed(version.content)


def test_doing_it_again_changes_nothing(shop: Shop) -> None:
    shop.data.build("sales")
    first = shop.data.add("sales")
    assert not shop.data.build("sales").changed
    assert shop.data.add("sales") == first
    assert len(shop.log.events) == 1
    assert shop.store.added == 1


def test_changed_bytes_are_named_and_refused_until_recorded(shop: Shop) -> None:
    shop.data.build("sales")
    first = shop.data.add("sales")
    folder = shop.data.path("sales")
    (folder / "a.csv").write_text("x,y\n1,2\n")
    (folder / "new.txt").write_text("!")
    (folder / "deep" / "b.txt").unlink()

    with pytest.raises(Refused) as caught:
        shop.data.current("sales")
    assert caught.value.reference == "dataset-changed"
    for words in ("a.csv has other bytes", "deep/b.txt is missing", "new.txt is new"):
        assert words in caught.value.message
    assert shop.data.status("sales").state is State.CHANGED

    second = shop.data.add("sales")
    assert second.ref != first.ref
    assert shop.data.current("sales") == second
    assert [version.ref for version in shop.data.log("sales")] == [second.ref, first.ref]


def test_an_old_version_comes_back_by_reference_after_the_dataset_moved_on(
    shop: Shop, tmp_path: Path
) -> None:
    shop.data.build("sales")
    first = shop.data.add("sales")
    (shop.data.path("sales") / "a.csv").write_text("other")
    shop.data.add("sales")

    path = shop.data.checkout(first.ref, tmp_path / "out")
    assert path == tmp_path / "out"
    assert digest_tree(path) == first.digest
    assert shop.data.find(f"sales@{first.digest[7:15]}") == first

    assert shop.data.restore(first).ref == first.ref
    assert shop.data.current("sales") == first


def test_checkout_takes_from_the_remote_what_the_cache_lost(shop: Shop, tmp_path: Path) -> None:
    import shutil

    shop.data.build("sales")
    version = shop.data.add("sales")
    shutil.rmtree(shop.store.cache)
    shop.data.checkout(version, tmp_path / "out")
    assert digest_tree(tmp_path / "out") == version.digest


def test_checkout_refuses_rotten_bytes_by_name_and_leaves_nothing(
    shop: Shop, tmp_path: Path
) -> None:
    shop.data.build("sales")
    version = shop.data.add("sales")
    shop.store.objects(version.content)["deep/b.txt"].write_text("rotten")
    with pytest.raises(Refused, match=r"deep/b\.txt") as caught:
        shop.data.checkout(version, tmp_path / "out")
    assert caught.value.reference == "artifact-corrupt"
    assert list(tmp_path.glob("*out*")) == []


def test_a_listing_may_not_lead_out_of_the_folder(shop: Shop, tmp_path: Path) -> None:
    shop.data.build("sales")
    version = shop.data.add("sales")
    listing = shop.store.cache / version.content[:2] / version.content[2:]
    rows = json.loads(listing.read_bytes())
    rows[0]["relpath"] = "../../escaped"
    listing.write_text(json.dumps(rows))
    with pytest.raises(Refused) as caught:
        shop.data.checkout(version, tmp_path / "out")
    assert caught.value.reference == "path-leaves-folder"
    assert not (tmp_path / "escaped").exists()


def test_checkout_wants_an_empty_folder(shop: Shop, tmp_path: Path) -> None:
    shop.data.build("sales")
    version = shop.data.add("sales")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(Conflict) as caught:
        shop.data.checkout(version, tmp_path / "full")
    assert caught.value.reference == "folder-not-empty"
    assert (tmp_path / "full" / "mine.txt").read_text() == "mine"


def test_restore_keeps_bytes_that_nobody_recorded_unless_forced(shop: Shop) -> None:
    shop.data.build("sales")
    version = shop.data.add("sales")
    precious = shop.data.path("sales") / "a.csv"
    precious.write_text("precious")
    with pytest.raises(Refused):
        shop.data.restore(version)
    assert precious.read_text() == "precious"
    shop.data.restore(version, force=True)
    assert shop.data.current("sales") == version


def test_a_single_file_is_a_dataset_too(shop: Shop, tmp_path: Path) -> None:
    path = shop.data.path("notes")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("k\n1\n")
    version = shop.data.add("notes")
    assert version.count == 1
    assert shop.data.checkout(version, tmp_path / "out").read_text() == "k\n1\n"
    path.write_text("k\n2\n")
    shop.data.restore(version, force=True)
    assert path.read_text() == "k\n1\n"


@pytest.mark.parametrize(
    ("body", "words"),
    [("raise ValueError('no source')", "ValueError: no source"), ("pass", "wrote nothing")],
)
def test_a_failed_build_leaves_the_dataset_as_it_was(tmp_path: Path, body: str, words: str) -> None:
    shop_in(tmp_path).data.build("sales")
    shop = shop_in(tmp_path, f"def build(folder):\n    {body}\n")
    with pytest.raises(TriuneError, match=words) as caught:
        shop.data.build("sales")
    assert caught.value.reference == "dataset-build-failed"
    assert (shop.data.path("sales") / "a.csv").exists()
    assert [p.name for p in (tmp_path / "data").iterdir()] == ["sales"]


def test_an_unreachable_remote_records_nothing_and_a_later_add_completes(shop: Shop) -> None:
    shop.data.build("sales")
    shop.store.reachable = False
    with pytest.raises(Unavailable):
        shop.data.add("sales")
    assert shop.log.events == []
    shop.store.reachable = True
    assert shop.data.add("sales") == next(shop.data.log("sales"))


def test_links_are_refused(shop: Shop) -> None:
    shop.data.build("sales")
    (shop.data.path("sales") / "link").symlink_to("/etc/passwd")
    with pytest.raises(TriuneError) as caught:
        shop.data.add("sales")
    assert caught.value.reference == "artifact-not-plain"


@pytest.mark.parametrize(
    ("ask", "reference"),
    [
        (lambda data: data.build("nothing"), "dataset-unknown"),
        (lambda data: data.build("notes"), "dataset-has-no-build"),
        (lambda data: data.add("sales"), "dataset-absent"),
        (lambda data: data.current("sales"), "dataset-unversioned"),
        (lambda data: data.find("sales@abc"), "dataset-version-unknown"),
    ],
)
def test_what_is_not_there_is_named(shop: Shop, ask: object, reference: str) -> None:
    with pytest.raises(NotFound) as caught:
        ask(shop.data)  # type: ignore[operator]
    assert caught.value.reference == reference
    assert caught.value.hint


def test_status_has_a_sentence_for_every_state(shop: Shop) -> None:
    assert shop.data.status("sales").state is State.ABSENT
    shop.data.build("sales")
    assert shop.data.status("sales").state is State.UNVERSIONED
    shop.data.add("sales")
    assert shop.data.status("sales").state is State.CURRENT
    assert all(state.sentence.endswith(".") for state in State)


def test_many_files_are_not_listed_in_the_event_and_are_checked_all_the_same(
    tmp_path: Path,
) -> None:
    many = "def build(f):\n    for i in range(1000):\n        (f / f'{i:04}').write_text(str(i))\n"
    shop = shop_in(tmp_path / "shop", many)
    shop.data.build("sales")
    version = shop.data.add("sales")
    assert version.files == ()
    assert version.count == 1000
    assert shop.data.current("sales") == version
    shop.data.checkout(version, tmp_path / "out")
    assert digest_tree(tmp_path / "out") == version.digest
    (shop.data.path("sales") / "0007").write_text("no")
    with pytest.raises(Refused):
        shop.data.current("sales")
