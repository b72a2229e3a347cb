"""What a broker keeps for its clients, through restarts."""

from __future__ import annotations

from pathlib import Path

from triune.data.broker.groups import Commit, Groups, ProducerNumbers


def test_committed_offsets_outlive_a_start_and_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "groups.jsonl"
    groups = Groups(path)
    groups.commit("g", {("t", 0): Commit(5, None), ("t", 1): Commit(7, "note")})
    groups.commit("g", {("t", 0): Commit(6, None)})
    with path.open("a") as file:
        file.write('["g", "t", 0, 9')
    again = Groups(path)
    assert again.of("g") == {("t", 0): Commit(6, None), ("t", 1): Commit(7, "note")}
    again.forget("t")
    assert not Groups(path).of("g")


def test_the_file_does_not_grow_without_end(tmp_path: Path) -> None:
    path = tmp_path / "groups.jsonl"
    groups = Groups(path)
    for offset in range(10_002):
        groups.commit("g", {("t", 0): Commit(offset, None)})
    assert len(path.read_text().splitlines()) < 10
    assert Groups(path).of("g")["t", 0].offset == 10_001


def test_no_number_is_given_twice(tmp_path: Path) -> None:
    given: list[int] = []
    for _ in range(3):
        numbers = ProducerNumbers(tmp_path / "numbers")
        given += [numbers.take() for _ in range(1_500)]
    assert len(set(given)) == len(given)
