"""What lies in ``.triune`` is its owner's alone."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.data import workspace_in
from triune.app.context import Context


@pytest.fixture(autouse=True)
def _generous_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_folder_is_private(tmp_path: Path) -> None:
    workspace = workspace_in(tmp_path / "shop")
    Context(workspace)
    assert mode(workspace.home) == 0o700


def test_a_folder_that_was_open_is_tightened(tmp_path: Path) -> None:
    workspace = workspace_in(tmp_path / "shop")
    workspace.home.mkdir(mode=0o755)
    Context(workspace)
    assert mode(workspace.home) == 0o700


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can own a folder as somebody else")
def test_a_folder_of_somebody_else_is_left_as_it_is(tmp_path: Path) -> None:
    workspace = workspace_in(tmp_path / "shop")
    workspace.home.mkdir(mode=0o755)
    os.chown(workspace.home, 65_534, 65_534)
    Context(workspace)
    assert mode(workspace.home) == 0o755


def test_dvcs_own_folder_cannot_be_entered_by_others(tmp_path: Path) -> None:
    workspace = workspace_in(tmp_path / "shop")
    dvc = workspace.home / "dvc"
    dvc.mkdir(parents=True, mode=0o777)
    context = Context(workspace)
    try:
        context.data.build("sales")
        context.data.add("sales")
        with context._dvc.opened():  # DVC itself, which keeps an index of its own
            pass
    finally:
        context.close()
    assert any(dvc.iterdir())
    assert mode(dvc) == 0o700
