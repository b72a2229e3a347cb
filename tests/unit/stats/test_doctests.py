"""The examples in the statistics' docstrings are right."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import triune.stats

MODULES = [f"triune.stats.{found.name}" for found in pkgutil.iter_modules(triune.stats.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_every_example_gives_what_it_says(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted > 0, f"{name} shows no example"
    assert result.failed == 0
