"""The statistics' docstrings: the examples are right, and the overview names every module."""

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


def test_the_overview_names_every_module() -> None:
    overview = triune.stats.__doc__ or ""
    assert [name for name in MODULES if f"``{name.rpartition('.')[2]}``" not in overview] == []
