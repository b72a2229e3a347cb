"""Frames: whatever is written comes back, whatever is cut or broken is noticed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triune.core.errors import Refused
from triune.ledger.frames import HEADER_BYTES, LONGEST_BODY, MARKER, frame, scan

plain = st.binary(max_size=60)
nasty = plain.map(lambda b: MARKER + b) | plain.map(lambda b: b"x" + frame(b) + b"y")
bodies = plain | nasty


@given(st.lists(bodies, max_size=8))
def test_what_is_framed_comes_back(written: list[bytes]) -> None:
    found = scan(b"".join(map(frame, written)))
    assert found.bodies == written
    assert found.damages == ()


@given(st.lists(bodies, min_size=1, max_size=5), st.data())
def test_a_cut_anywhere_loses_only_the_frame_it_cuts(
    written: list[bytes], data: st.DataObject
) -> None:
    whole = b"".join(map(frame, written))
    cut = data.draw(st.integers(0, len(whole)))
    found = scan(whole[:cut])
    ends = [sum(HEADER_BYTES + len(b) for b in written[: n + 1]) for n in range(len(written))]
    complete = sum(1 for end in ends if end <= cut)
    assert found.bodies == written[:complete]
    assert found.end == ([0, *ends][complete])
    assert found.damages == ()


def _flip(whole: bytes, bit: int) -> bytes:
    changed = bytearray(whole)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@given(st.lists(bodies.filter(len), min_size=1, max_size=5), st.data())
def test_a_flipped_bit_in_a_body_is_reported_and_the_rest_is_read(
    written: list[bytes], data: st.DataObject
) -> None:
    victim = data.draw(st.integers(0, len(written) - 1))
    start = sum(HEADER_BYTES + len(b) for b in written[:victim])
    end = start + HEADER_BYTES + len(written[victim])
    bit = data.draw(st.integers((start + HEADER_BYTES) * 8, end * 8 - 1))
    found = scan(_flip(b"".join(map(frame, written)), bit))
    assert [(damage.start, damage.end) for damage in found.damages] == [(start, end)]
    assert found.bodies == written[:victim] + written[victim + 1 :]


@given(st.lists(plain, min_size=2, max_size=5), st.data())
def test_a_flipped_bit_in_a_header_is_reported_and_the_rest_is_read(
    written: list[bytes], data: st.DataObject
) -> None:
    victim = data.draw(st.integers(0, len(written) - 2))
    start = sum(HEADER_BYTES + len(b) for b in written[:victim])
    end = start + HEADER_BYTES + len(written[victim])
    bit = data.draw(st.integers(start * 8, (start + HEADER_BYTES) * 8 - 1))
    found = scan(_flip(b"".join(map(frame, written)), bit))
    assert [(damage.start, damage.end) for damage in found.damages] == [(start, end)]
    assert found.bodies == written[:victim] + written[victim + 1 :]


@given(st.lists(bodies, max_size=4), st.integers(1, 5000))
def test_a_tail_of_zeros_is_a_torn_tail(written: list[bytes], zeros: int) -> None:
    whole = b"".join(map(frame, written))
    found = scan(whole + bytes(zeros))
    assert (found.bodies, found.damages, found.end) == (written, (), len(whole))


@given(st.lists(bodies, max_size=6), st.lists(st.integers(1, 90), min_size=1, max_size=30))
def test_reading_in_pieces_finds_the_same(written: list[bytes], pieces: list[int]) -> None:
    whole = b"".join(map(frame, written))
    found: list[bytes] = []
    at, seen = 0, 0
    for piece in [*pieces, len(whole)]:
        seen = min(len(whole), seen + piece)
        part = scan(whole[at:seen])
        assert part.damages == ()
        found += part.bodies
        at += part.end
    assert found == written


def test_no_more_than_asked_for() -> None:
    whole = frame(b"a") + frame(b"b") + frame(b"c")
    first = scan(whole, most=2)
    assert first.bodies == [b"a", b"b"]
    assert scan(whole[first.end :], most=2).bodies == [b"c"]


def test_a_body_beyond_the_limit_is_refused() -> None:
    with pytest.raises(Refused) as caught:
        frame(bytes(LONGEST_BODY + 1))
    assert caught.value.reference == "event-too-large"
