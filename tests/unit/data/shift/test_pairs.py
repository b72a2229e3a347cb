"""Which table stands against which."""

from __future__ import annotations

from triune.data.comparison import compared
from triune.data.model import FileFacts
from triune.data.shift.pairs import pairs, together


def listing(**files: str) -> list[FileFacts]:
    return [FileFacts(name.replace("__", "."), digest, 1) for name, digest in files.items()]


def found(old: list[FileFacts], new: list[FileFacts]) -> list[tuple[str, str]]:
    return [(pair.before, pair.after) for pair in pairs(compared("a", "b", old, new))]


def test_changed_tables_are_compared_and_nothing_else() -> None:
    old = listing(x__csv="1", y__parquet="1", notes__txt="1", same__csv="1", gone__csv="9")
    new = listing(x__csv="2", y__parquet="2", notes__txt="2", same__csv="1", fresh__csv="8")
    assert found(old, new) == [("x.csv", "x.csv"), ("y.parquet", "y.parquet")]


def test_a_table_that_went_from_csv_to_parquet_is_one() -> None:
    assert found(listing(x__csv="1"), listing(x__parquet="2")) == [("x.csv", "x.parquet")]
    assert found(listing(x__parquet="2"), listing(x__csv="1")) == [("x.parquet", "x.csv")]


def test_both_formats_in_a_version_are_two_tables() -> None:
    old = listing(x__csv="1", x__parquet="2")
    new = listing(x__csv="3", x__parquet="4")
    assert found(old, new) == [("x.csv", "x.csv"), ("x.parquet", "x.parquet")]
    assert found(old, listing(x__csv="3")) == [("x.csv", "x.csv")]


def test_a_table_with_another_name_has_nothing_to_compare() -> None:
    assert found(listing(x__csv="1"), listing(z__csv="1")) == []


def test_all_that_match_a_glob_are_one_table() -> None:
    pair = together(
        "parts/*.csv", ["parts/b.csv", "parts/a.csv", "parts/a.txt", "x.csv"], ["x.csv"]
    )
    assert pair.files_before == ("parts/a.csv", "parts/b.csv")
    assert pair.files_after == ()
