"""The examples in the docstrings give what they say."""

from __future__ import annotations

import doctest
import importlib

import pytest

MODULES = ("globs", "expect.suggest", "expect.toml", "shift.kinds")


@pytest.mark.parametrize("name", MODULES)
def test_every_example_gives_what_it_says(name: str) -> None:
    result = doctest.testmod(importlib.import_module(f"triune.data.{name}"))
    assert result.attempted > 0
    assert result.failed == 0
