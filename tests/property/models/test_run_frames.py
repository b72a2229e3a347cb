"""Run journals: whatever is cut off or damaged, every whole frame is read."""

from __future__ import annotations

import math
import struct

from hypothesis import given
from hypothesis import strategies as st

from triune.models.tracking.frames import (
    Artifact,
    Begin,
    Finish,
    Frame,
    Metrics,
    Params,
    Tags,
    decode,
    encode,
)

_words = st.text(max_size=20)
_times = st.integers(0, 2**60)
_values = st.one_of(_words, st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats())
FRAMES: st.SearchStrategy[Frame] = st.one_of(
    st.builds(Metrics, time=_times, step=st.integers(-(2**63), 2**63 - 1),
              values=st.dictionaries(_words, st.floats(), max_size=4)),
    st.builds(Params, values=st.dictionaries(_words, _values, max_size=4)),
    st.builds(Tags, values=st.dictionaries(_words, _words, max_size=4)),
    st.builds(Artifact, time=_times, name=_words, digest=_words, size=_times),
    st.builds(Finish, time=_times, status=_words, error=_words),
    st.builds(Begin, id=_words, time=_times, name=_words, actor=_words, host=_words,
              pid=_times, started_event=_words, finished_event=_words,
              inputs=st.lists(st.tuples(_words, _words), max_size=3),
              details=st.dictionaries(_words, _words, max_size=3)),
)  # fmt: skip


def _bytes(frames: list[Frame]) -> bytes:
    return b"".join(encode(frame) for frame in frames)


@given(st.lists(FRAMES, max_size=8))
def test_what_was_written_is_read(frames: list[Frame]) -> None:
    data = _bytes(frames)
    read = list(decode(data))
    assert _bytes([frame for frame, _ in read]) == data
    assert [end for _, end in read][-1:] == ([len(data)] if frames else [])


@given(st.lists(FRAMES, min_size=1, max_size=8), st.data())
def test_a_journal_cut_anywhere_gives_the_frames_before_the_cut(
    frames: list[Frame], data: st.DataObject
) -> None:
    whole = _bytes(frames)
    cut = data.draw(st.integers(0, len(whole)))
    ends = [end for _, end in decode(whole)]
    assert [end for _, end in decode(whole[:cut])] == [end for end in ends if end <= cut]


@given(st.lists(FRAMES, min_size=1, max_size=5), st.lists(FRAMES, max_size=5), st.data())
def test_frames_behind_a_torn_one_are_read(
    before: list[Frame], after: list[Frame], data: st.DataObject
) -> None:
    torn = encode(before[-1])
    kept = data.draw(st.integers(0, len(torn) - 1))
    whole = _bytes(before[:-1])
    journal = whole + torn[:kept] + _bytes(after)
    expected = [encode(frame) for frame in before[:-1]] + [encode(frame) for frame in after]
    assert [encode(frame) for frame, _ in decode(journal)] == expected


@given(st.lists(FRAMES, min_size=1, max_size=5), st.data())
def test_a_damaged_byte_costs_one_frame_at_most(frames: list[Frame], data: st.DataObject) -> None:
    whole = bytearray(_bytes(frames))
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    read = [encode(frame) for frame, _ in decode(bytes(whole))]
    left = [encode(frame) for frame in frames]
    assert len(read) == len(left) - 1
    for frame in read:
        left.remove(frame)


@given(st.binary(max_size=200))
def test_noise_is_never_an_error(noise: bytes) -> None:
    assert all(end <= len(noise) for _, end in decode(noise))


def test_floats_keep_every_bit() -> None:
    odd = [float("nan"), math.inf, -0.0, 5e-324, struct.unpack("<d", b"\x01\0\0\0\0\0\xf8\x7f")[0]]
    values = {str(index): value for index, value in enumerate(odd)}
    frame, _ = next(decode(encode(Metrics(1, 2, values))))
    assert isinstance(frame, Metrics)
    before = [struct.pack("<d", value) for value in odd]
    assert [struct.pack("<d", value) for value in frame.values.values()] == before
