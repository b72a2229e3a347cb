"""The stage that delivery's integration tests play on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.delivery import Stage, staged
from tests.support.services import make_workspace

__all__ = ["make_workspace", "stage"]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with staged(tmp_path) as made:
        yield made
