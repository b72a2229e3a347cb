"""The example's own tests: `pytest examples/flights/tests`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "src"))


@pytest.fixture(scope="session")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real tables, built once."""
    from flights.data import build

    folder = tmp_path_factory.mktemp("nycflights")
    build(folder)
    return folder
