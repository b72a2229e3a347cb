"""A folder takes another's place in one step."""

from __future__ import annotations

from pathlib import Path

import pytest

from triune.data.swap import fresh_folder, put_in_place


def test_old_content_is_replaced_whole(tmp_path: Path) -> None:
    target = tmp_path / "data"
    for text in ("one", "two"):
        with fresh_folder(target) as folder:
            (folder / f"{text}.txt").write_text(text)
            put_in_place(folder, target)
        assert [file.name for file in target.iterdir()] == [f"{text}.txt"]
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_failure_inside_leaves_the_old_content_and_no_litter(tmp_path: Path) -> None:
    target = tmp_path / "data"
    target.mkdir()
    (target / "old.txt").write_text("old")
    with pytest.raises(ValueError, match="midway"), fresh_folder(target) as folder:
        (folder / "new.txt").write_text("new")
        raise ValueError("midway")
    assert [file.name for file in target.iterdir()] == ["old.txt"]
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    litter = tmp_path / ".data.building-dead"
    litter.mkdir()
    (litter / "half.txt").write_text("half")
    with fresh_folder(tmp_path / "data"):
        assert not litter.exists()
