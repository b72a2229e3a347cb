"""A partition's log: what was appended is read, from any offset, whatever happened between."""

from __future__ import annotations

import resource
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.broker import batch, settle, values
from triune.data.broker.batches import BadBatch
from triune.data.broker.log import OffsetOutside, PartitionLog, Transactional
from triune.data.broker.producers import OldEpoch, OutOfOrder

SMALL = 400  # bytes of a segment: a few batches


def opened(folder: Path, told: list[str] | None = None) -> PartitionLog:
    return PartitionLog(folder, (told if told is not None else []).append, segment_bytes=SMALL)


def everything(log: PartitionLog, offset: int, most: int = 300) -> list[tuple[int, bytes]]:
    """All records from an offset on, fetch by fetch, as a client goes on."""
    found: list[tuple[int, bytes]] = []
    while raw := log.read(offset, most):
        whole = values(_whole(raw))
        found += [one for one in whole if one[0] >= offset]
        offset = whole[-1][0] + 1
    return found


def _whole(raw: bytes) -> bytes:
    """Without a batch that is cut off at the end."""
    at = 0
    while at + 12 <= len(raw):
        size = int.from_bytes(raw[at + 8 : at + 12], "big") + 12
        if at + size > len(raw):
            break
        at += size
    return raw[:at]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.lists(st.binary(max_size=40), min_size=1, max_size=5),
            st.just("again"),
        ),
        max_size=40,
    ),
    st.data(),
)
def test_what_was_appended_is_read_from_any_offset_also_opened_again(
    steps: list[list[bytes] | str], data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        log, wanted = opened(Path(folder)), list[tuple[int, bytes]]()
        for step in steps:
            if isinstance(step, str):
                settle(log)
                log = opened(Path(folder))
                continue
            base, following = log.append(batch(step))
            assert (base, following) == (len(wanted), len(wanted) + len(step))
            wanted += list(enumerate(step, start=base))
        settle(log)
        assert log.durable == log.end == len(wanted)
        start = data.draw(st.integers(0, len(wanted)))
        assert everything(log, start) == wanted[start:]


def test_only_what_is_durable_is_read(tmp_path: Path) -> None:
    log = opened(tmp_path)
    log.append(batch([b"a"]))
    settle(log)
    settled = log.sync  # what comes after a sync began is not made durable by it
    done = settled()
    log.append(batch([b"b"]))
    done()
    assert log.durable == 1
    assert everything(log, 0) == [(0, b"a")]
    settle(log)
    assert everything(log, 0) == [(0, b"a"), (1, b"b")]


@pytest.mark.parametrize("left", [1, 30, 61, 70])
def test_a_batch_cut_off_at_the_end_is_put_aside(tmp_path: Path, left: int) -> None:
    log = opened(tmp_path)
    log.append(batch([b"kept"]))
    settle(log)
    (file,) = tmp_path.glob("*.log")
    size = file.stat().st_size
    with file.open("ab") as end:
        end.write(batch([b"torn" * 10])[:left])
    told: list[str] = []
    again = opened(tmp_path, told)
    assert everything(again, 0) == [(0, b"kept")]
    assert again.append(batch([b"next"])) == (1, 2)
    (kept,) = tmp_path.glob("*.damaged-*")
    assert kept.stat().st_size == left
    assert file.stat().st_size > size
    assert "kept in" in told[0]


def test_a_flipped_bit_is_found_at_the_next_start(tmp_path: Path) -> None:
    log = opened(tmp_path)
    for value in (b"one", b"two"):
        log.append(batch([value]))
    settle(log)
    (file,) = tmp_path.glob("*.log")
    raw = bytearray(file.read_bytes())
    raw[-3] ^= 1
    file.write_bytes(raw)
    told: list[str] = []
    assert everything(opened(tmp_path, told), 0) == [(0, b"one")]
    assert told


@pytest.mark.parametrize("raw", [b"", b"short", batch([b"a"])[:-1], batch([b"a"]) + b"x"])
def test_bytes_that_are_no_batches_are_refused_whole(tmp_path: Path, raw: bytes) -> None:
    log = opened(tmp_path)
    with pytest.raises(BadBatch):
        log.append(raw)
    assert log.end == 0


def test_a_wrong_checksum_is_refused(tmp_path: Path) -> None:
    raw = bytearray(batch([b"abc"]))
    raw[-2] ^= 1
    with pytest.raises(BadBatch, match="checksum"):
        opened(tmp_path).append(bytes(raw))


def test_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    log = PartitionLog(tmp_path, print)
    log.append(batch([b"a" * 1000]))
    with file_limit(2000), pytest.raises(OSError, match="large"):
        log.append(batch([b"b" * 5000]))
    assert log.append(batch([b"c"])) == (1, 2)
    settle(log)
    assert everything(log, 0) == [(0, b"a" * 1000), (1, b"c")]
    assert everything(PartitionLog(tmp_path, print), 0) == everything(log, 0)


@contextmanager
def file_limit(most: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def sent(sequence: int, count: int = 2, *, number: int = 7, epoch: int = 0) -> bytes:
    return batch([b"v"] * count, producer=(number, epoch, sequence))


def test_what_a_producer_sends_again_is_kept_once_also_after_a_start(tmp_path: Path) -> None:
    log = opened(tmp_path)
    assert [log.append(sent(at)) for at in (0, 2, 4)] == [(0, 2), (2, 4), (4, 6)]
    assert log.append(sent(2)) == (2, 6)
    for _ in range(20):  # several segments of another producer
        log.append(batch([b"x" * 50]))
    settle(log)
    again = opened(tmp_path)
    assert again.append(sent(4))[0] == 4
    assert again.append(sent(6))[0] == 26
    with pytest.raises(OutOfOrder):
        again.append(sent(10))
    assert again.append(sent(0, epoch=1))[0] == 28
    with pytest.raises(OldEpoch):
        again.append(sent(8))


def test_producers_are_known_also_when_they_were_not_written_down(tmp_path: Path) -> None:
    log = opened(tmp_path)
    assert log.append(sent(0)) == (0, 2)
    for _ in range(20):
        log.append(batch([b"x" * 50]))
    settle(log)
    (tmp_path / "producers.json").unlink()  # killed before it came to that
    assert opened(tmp_path).append(sent(0))[0] == 0


def test_a_batch_of_a_transaction_is_refused_whole(tmp_path: Path) -> None:
    log = opened(tmp_path)
    with pytest.raises(Transactional):
        log.append(batch([b"plain"]) + batch([b"part of one"], attributes=0b1_0000))
    assert log.end == 0


def test_what_is_forgotten_cannot_be_read_and_stays_forgotten(tmp_path: Path) -> None:
    log = opened(tmp_path)
    for number in range(20):
        log.append(batch([b"%d" % number * 20]))
    settle(log)
    files = len(list(tmp_path.glob("*.log")))
    assert log.cut(15) == 15
    assert len(list(tmp_path.glob("*.log"))) < files
    for one in (log, opened(tmp_path)):
        assert one.start == 15
        assert [offset for offset, _ in everything(one, 15)] == list(range(15, 20))
        with pytest.raises(OffsetOutside):
            one.read(14, 100)
    with pytest.raises(OffsetOutside):
        log.cut(21)
    assert log.cut(20) == 20
    assert opened(tmp_path).end == 20


def test_an_offset_is_found_by_time(tmp_path: Path) -> None:
    log = opened(tmp_path)
    for at in range(0, 100, 5):
        log.append(batch([b"v" * 30] * 5, times=[1000 + at + i for i in range(5)]))
    settle(log)
    for one in (log, opened(tmp_path)):
        assert [one.at_time(moment) for moment in (0, 1000, 1007, 1099)] == [0, 0, 7, 99]
        assert one.at_time(1100) is None


def test_old_files_expire(tmp_path: Path) -> None:
    log = opened(tmp_path)
    for _ in range(10):
        log.append(batch([b"old" * 30], times=[1_000]))
    settle(log)
    log.expire(60_000)
    assert (log.start, log.end) == (10, 10)
    assert log.append(batch([b"new"], times=[1_000])) == (10, 11)
    assert len(list(tmp_path.glob("*.log"))) == 1
