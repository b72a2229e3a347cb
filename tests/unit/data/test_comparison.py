"""Comparing versions file by file."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from triune.data.comparison import Change, compared
from triune.data.model import FileFacts

FILES = st.dictionaries(st.sampled_from("abcdef"), st.sampled_from(["1", "2", "3"]), max_size=6)


def listing(files: dict[str, str]) -> list[FileFacts]:
    return [FileFacts(name, digest, 1) for name, digest in files.items()]


def test_each_change_is_named() -> None:
    old = [
        FileFacts("t.csv", "a", 9, 10, ("x", "y")),
        FileFacts("gone", "b", 1),
        FileFacts("old-name", "c", 1),
        FileFacts("same", "d", 1),
    ]
    new = [
        FileFacts("t.csv", "e", 9, 12, ("x", "z")),
        FileFacts("fresh", "f", 1),
        FileFacts("new-name", "c", 1),
        FileFacts("same", "d", 1),
    ]
    found = compared("a", "b", old, new)
    assert [(one.name, one.change) for one in found.files] == [
        ("fresh", Change.ADDED),
        ("gone", Change.REMOVED),
        ("new-name", Change.RENAMED),
        ("t.csv", Change.CHANGED),
    ]
    assert found.files[3].words == ("new columns: z", "columns gone: y", "+2 rows (10 to 12)")
    assert found.unchanged == 1


@given(FILES)
def test_a_version_compared_with_itself_differs_in_nothing(files: dict[str, str]) -> None:
    found = compared("a", "a", listing(files), listing(files))
    assert (found.files, found.unchanged) == ((), len(files))


@given(FILES, FILES)
def test_turned_around_added_is_removed(one: dict[str, str], other: dict[str, str]) -> None:
    there = compared("a", "b", listing(one), listing(other))
    back = compared("b", "a", listing(other), listing(one))
    assert there.unchanged == back.unchanged
    kinds = [
        {change: sum(c.change is change for c in found.files) for change in Change}
        for found in (there, back)
    ]
    assert kinds[0][Change.ADDED] == kinds[1][Change.REMOVED]
    assert kinds[0][Change.CHANGED] == kinds[1][Change.CHANGED]
    assert kinds[0][Change.RENAMED] == kinds[1][Change.RENAMED]
