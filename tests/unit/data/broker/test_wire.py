"""Bytes from anyone: a request, or an error that says so."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triune.data.broker.wire import VERSIONS, NotUnderstood, parse


@given(st.binary(max_size=200))
def test_any_bytes_are_a_request_or_refused(raw: bytes) -> None:
    try:
        found = parse(raw)
    except NotUnderstood:
        return
    assert (found.api, found.version, found.correlation) == struct.unpack_from(">hhi", raw)


@given(st.sampled_from(sorted(VERSIONS)), st.integers(0, 12), st.binary(max_size=300))
def test_bytes_behind_a_right_beginning_too(api: int, version: int, rest: bytes) -> None:
    try:
        found = parse(struct.pack(">hhi", api, version, 9) + rest)
    except NotUnderstood:
        return
    assert (found.api, found.version, found.correlation) == (api, version, 9)


def test_a_request_that_is_not_offered_is_named() -> None:
    with pytest.raises(NotUnderstood, match="request 11 in version 5"):
        parse(struct.pack(">hhi", 11, 5, 1))
