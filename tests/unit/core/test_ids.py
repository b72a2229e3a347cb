"""Ids sort by time; digests see every byte and every name."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from triune.core import ids
from triune.core.errors import TriuneError


def test_ids_sort_by_the_time_they_were_made() -> None:
    made = [ids.new_id() for _ in range(10_000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_an_id_tells_its_time() -> None:
    before = datetime.now(UTC)
    moment = ids.time_of(ids.new_id())
    assert abs((moment - before).total_seconds()) < 5


@pytest.mark.parametrize("change", ["bytes", "name", "added", "removed"])
def test_a_tree_digest_sees_every_change(tmp_path: Path, change: str) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a").write_text("1")
    (tmp_path / "b").write_text("2")
    before = ids.digest_tree(tmp_path)
    if change == "bytes":
        (tmp_path / "b").write_text("3")
    elif change == "name":
        (tmp_path / "b").rename(tmp_path / "c")
    elif change == "added":
        (tmp_path / "d").write_text("")
    else:
        (tmp_path / "sub" / "a").unlink()
    assert ids.digest_tree(tmp_path) != before


def test_a_tree_digest_leaves_out_what_it_is_told_to(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    before = ids.digest_tree(tmp_path)
    (tmp_path / "sig").write_text("signature")
    assert ids.digest_tree(tmp_path, leave_out=["sig"]) == before


def test_a_link_in_a_tree_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/passwd")
    with pytest.raises(TriuneError) as caught:
        ids.digest_tree(tmp_path)
    assert caught.value.reference == "artifact-not-plain"


def test_a_reference_comes_apart_at_its_first_colon() -> None:
    ref = ids.reference("release", "flights-delay@ab:cd")
    assert (ids.kind_of(ref), ids.key_of(ref)) == ("release", "flights-delay@ab:cd")
    assert ids.kind_of("no reference") == ""
