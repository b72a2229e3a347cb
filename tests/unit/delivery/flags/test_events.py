"""Server-sent events out of bytes, wherever these are cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triune.delivery.flags.live.events import Message, Parser

TEXT = (
    ': hello\n\nevent: change\nid: 7\ndata: {"a": "é"}\n\n'
    "data:one\ndata: two\r\n\r\nretry: 100\n\nevent: empty\n\nid: 8\ndata: x\n\n"
).encode()
FOUND = [
    Message("change", '{"a": "é"}', "7"),
    Message("message", "one\ntwo", "7"),
    Message("message", "x", "8"),
]


@given(st.lists(st.integers(0, len(TEXT)), max_size=8))
def test_cut_anywhere_the_messages_are_the_same(cuts: list[int]) -> None:
    parser, found = Parser(), []
    edges = [0, *sorted(cuts), len(TEXT)]
    for start, end in pairwise(edges):
        found += parser.feed(TEXT[start:end])
    assert found == FOUND
    assert parser.idle


@pytest.mark.parametrize(
    ("piece", "idle"), [(b": beat\n\n", True), (b": be", False), (b"event: x\n", False)]
)
def test_a_heartbeat_is_whole(piece: bytes, idle: bool) -> None:
    parser = Parser()
    assert list(parser.feed(piece)) == []
    assert parser.idle is idle
