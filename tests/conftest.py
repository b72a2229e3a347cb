"""Shared set-up: the test tree is importable, and no test can reach the real home folder."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# The machines that run these tests are shared: how long an example takes says nothing.
settings.register_profile(
    "shared", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("shared")

sys.path.insert(0, str(Path(__file__).parent.parent))

pytest_plugins = ["tests.support.ledgers", "tests.support.grouping"]


@pytest.fixture(autouse=True)
def _no_real_home(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("TRIUNE_WORKSPACE", raising=False)
    yield
