"""Snapshots: a version that is a checksum, and changes that lead from one to another."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.flag_servers import SPLIT, flag, flags_of
from triune.core.errors import ConfigError
from triune.delivery.flags import document, snapshot
from triune.delivery.flags.model import Flag

KEYS = st.sampled_from(["a", "b", "é", "\ud800", "c d"])
VALUES = st.sampled_from([1, 1.0, 2**70, "text", "\u2028", True, [1, {"a": None}], {}])
FLAGS = st.dictionaries(
    KEYS,
    st.builds(
        dict,
        enabled=st.booleans(),
        variants=st.dictionaries(st.text(min_size=1, max_size=2), VALUES, min_size=1, max_size=1),
        targeting=st.sampled_from([None, SPLIT, {"if": [{"var": "x"}, "on"]}]),
        metadata=st.sampled_from([{}, {"owner": "ads", "n": 0.5}]),
    ),
    max_size=4,
).map(lambda found: {key: Flag(key, default=None, **one) for key, one in found.items()})


def test_the_order_of_flags_says_nothing() -> None:
    assert flags_of(flag("a"), flag("b")).version == flags_of(flag("b"), flag("a")).version


def test_the_version_is_that_of_the_set_of_flags() -> None:
    flags = {"a": flag("a"), "b": flag("b")}
    assert snapshot.of(flags).version == document.version_of(flags)


@given(FLAGS, FLAGS)
def test_a_change_leads_from_any_flags_to_any_others(
    before: dict[str, Flag], after: dict[str, Flag]
) -> None:
    start, end = snapshot.of(before), snapshot.of(after)
    sent = snapshot.change_text(start.difference(end))
    assert "\n" not in sent
    there = start.changed(snapshot.read_change(sent, source="x"))
    assert (there.flags, there.version) == (end.flags, end.version)


@given(FLAGS)
def test_what_was_written_is_read(flags: dict[str, Flag]) -> None:
    there = snapshot.of(flags)
    again = snapshot.read(document.text_of(flags), source="x")
    assert (again.flags, again.version) == (there.flags, there.version)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"flags": 3}', '{"flags": {"a": {}}}', "[" * 9999]
)
def test_what_is_no_configuration_is_said(text: str) -> None:
    with pytest.raises(ConfigError):
        snapshot.read(text, source="x")
    with pytest.raises(ConfigError):
        snapshot.read_change(text, source="x")
