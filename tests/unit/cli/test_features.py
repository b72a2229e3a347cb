"""Entities as people name them on a command line."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("STRING", "7", "7"),
        ("INT64", "-7", -7),
        ("BOOL", "True", True),
        ("BOOL", "false", False),
        ("BYTES", "00ff", b"\x00\xff"),
        ("UNIX_TIMESTAMP", "1772366400", 1772366400),
        ("UNIX_TIMESTAMP", "2026-03-01T12:00+00:00", 1772366400),
        ("UUID", "0f", "0f"),
    ],
)
def test_a_key_is_read_as_its_type(kind: str, text: str, value: Any) -> None:
    from triune.cli.features import key_value

    got = key_value("k", kind, text)
    assert (got, type(got)) == (value, type(value))


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        ("INT32", "x", "INT32"),
        ("BOOL", "1", "true or false"),
        ("BYTES", "xy", "hexadecimal"),
        ("UNIX_TIMESTAMP", "noon", "ISO time"),
    ],
)
def test_what_is_no_such_key_is_told(kind: str, text: str, words: str) -> None:
    import typer

    from triune.cli.features import key_value

    with pytest.raises(typer.BadParameter, match=words):
        key_value("k", kind, text)
