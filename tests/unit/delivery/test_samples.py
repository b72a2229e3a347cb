"""Following a file of samples: torn lines, truncation, renaming, gaps, crashes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.shadows import START_US, append, line, sample
from triune.core.errors import Unavailable
from triune.delivery.rollout import samples
from triune.delivery.rollout.samples import Places, Sample, SampleReader, parse
from triune.models.serving.shared import LIMIT_BYTES, SharedFile


def ids(found: list[Sample]) -> list[str]:
    return [one.request for one in found]


def drain(reader: SampleReader) -> list[Sample]:
    """All there is to read now."""
    found: list[Sample] = []
    while True:
        piece = reader.read()
        found += piece.samples
        if not piece.more:
            return found


def test_a_line_of_a_model_server_is_understood() -> None:
    raw = (
        b'{"r":"c26319b7","t":1795367686973532,"s":200,"u":812,"i":1,"g":"error","d":3,'
        b'"l":["1"],"p":[0.73],"w":3,"h":"0011","more":[]}'
    )
    found = parse(raw)
    assert found == Sample(
        request="c26319b7",
        time_us=1795367686973532,
        status=200,
        duration_us=812,
        instance=1,
        degraded="error",
        dropped=3,
        labels=("1",),
        probabilities=(0.73,),
        width=3,
        digest="0011",
    )
    assert not found.good


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[]", b'{"r":"a"}', b"\xff", b"null", b'{"r":"a","t":"soon"}']
)
def test_a_malformed_line_is_none(raw: bytes) -> None:
    assert parse(raw) is None


def test_a_line_behind_a_torn_one_is_not_lost() -> None:
    whole = line(sample("second"))[:-1]
    for length in (1, 5, 40, len(whole) - 1):
        found = parse(line(sample("first", labels=('{"r":"',)))[:length] + whole)
        assert found is not None
        assert found.request == "second"


def test_only_whole_lines_are_read(tmp_path: Path) -> None:
    path = tmp_path / "s"
    reader = SampleReader(path)
    assert drain(reader) == []
    raw = line(sample("a"), sample("b"))
    path.write_bytes(raw[:-10])
    assert ids(drain(reader)) == ["a"]
    assert drain(reader) == []
    with path.open("ab") as file:
        file.write(raw[-10:])
    assert ids(drain(reader)) == ["b"]


def test_it_goes_on_from_its_places(tmp_path: Path) -> None:
    path = tmp_path / "s"
    append(path, sample("a"))
    reader = SampleReader(path)
    drain(reader)
    append(path, sample("b"))
    assert ids(drain(SampleReader(path, reader.places))) == ["b"]
    assert ids(drain(SampleReader(path))) == ["a", "b"]


@pytest.mark.parametrize("longer", [False, True])
@pytest.mark.parametrize("in_place", [False, True])
def test_a_file_made_anew_is_read_from_its_beginning(
    tmp_path: Path, longer: bool, in_place: bool
) -> None:
    path = tmp_path / "s"
    append(path, sample("a"), sample("b"))
    reader = SampleReader(path)
    drain(reader)
    if in_place:
        os.truncate(path, 0)
    else:
        path.unlink()
    new = [sample(f"new-{number}") for number in range(5 if longer else 1)]
    append(path, *new)
    assert drain(reader) == new


def test_a_line_no_writer_writes_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samples, "CHUNK_BYTES", 1000)
    path = tmp_path / "s"
    path.write_bytes(b"x" * 2500 + b"\n")
    append(path, sample("a"))
    assert ids(drain(SampleReader(path))) == ["a"]


def test_a_large_file_is_taken_away_and_nothing_is_lost_or_read_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samples, "CHUNK_BYTES", 3000)
    path = tmp_path / "s"
    writers = [SharedFile(path), SharedFile(path)]
    places, seen, written, biggest = Places(), [], [], 0
    for number in range(3000):
        one = sample(f"{number}")
        assert writers[number % 2].append([line(one)]).written == 1
        written.append(one.request)
        if number % 7 == 0:
            reader = SampleReader(path, places, rotate_bytes=10_000)
            seen += ids(drain(reader))
            places = reader.places
        if number % 100 == 0:
            monkeypatch.setattr(samples, "OLD_SECONDS", -1.0 if number % 200 else 60.0)
        biggest = max(biggest, *(entry.stat().st_size for entry in tmp_path.iterdir()))
    seen += ids(drain(SampleReader(path, places, rotate_bytes=10_000)))
    assert sorted(seen, key=int) == written
    assert biggest < 60_000


def test_lines_of_a_writer_that_has_not_noticed_are_read(tmp_path: Path) -> None:
    path = tmp_path / "s"
    append(path, sample("a"))
    reader = SampleReader(path, rotate_bytes=10)
    with path.open("ab") as late:
        assert ids(drain(reader)) == ["a"]
        append(path, sample("c"))
        late.write(line(sample("b")))
    assert sorted(ids(drain(reader))) == ["b", "c"]
    assert (tmp_path / "s.old").exists()


def test_a_crash_after_the_renaming_loses_and_repeats_nothing(tmp_path: Path) -> None:
    path = tmp_path / "s"
    append(path, sample("a"))
    reader = SampleReader(path)
    drain(reader)
    before = reader.places
    append(path, sample("b"))
    crashed = SampleReader(path, before, rotate_bytes=10)
    assert ids(drain(crashed)) == ["b"]
    assert not path.exists()
    append(path, sample("c"))
    assert ids(drain(SampleReader(path, before))) == ["b", "c"]
    assert ids(drain(SampleReader(path, crashed.places))) == ["c"]


def test_samples_that_a_worker_dropped_are_a_gap(tmp_path: Path) -> None:
    path = tmp_path / "s"
    append(path, sample("a", dropped=2, instance=1), sample("b", instance=2))
    reader = SampleReader(path)
    assert reader.read().gap_us == START_US + 1_000_000
    append(path, sample("c", dropped=2, instance=1, time_us=START_US + 2_000_000))
    assert reader.read().gap_us == 0
    append(path, sample("d", dropped=1, instance=2, time_us=START_US + 3_000_000))
    assert reader.read().gap_us == START_US + 3_000_000
    append(path, sample("e", dropped=0, instance=2))  # the server was started anew
    assert reader.read().gap_us == 0


def test_a_file_that_had_no_room_is_a_gap_until_now(tmp_path: Path) -> None:
    path = tmp_path / "s"
    append(path, sample("a"))
    os.truncate(path, LIMIT_BYTES)
    assert SharedFile(path).append([line(sample("b"))]).full == 1
    reader = SampleReader(path)
    gaps = []
    while True:
        piece = reader.read()
        gaps.append(piece.gap_us)
        if not piece.more:
            break
    assert gaps[:-1] == [0] * (len(gaps) - 1)
    assert gaps[-1] > 0
    assert SharedFile(path).append([line(sample("c"))]).written == 1


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(Unavailable) as told:
        SampleReader(tmp_path).read()
    assert told.value.reference == "samples-unreadable"
