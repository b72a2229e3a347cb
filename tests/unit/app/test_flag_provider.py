"""``triune.flag_provider()``: where it finds its server, and where it keeps flags."""

from __future__ import annotations

from pathlib import Path

import pytest
from openfeature import api

import triune
from tests.support.flag_servers import flag, flags_of, serving
from triune.core.errors import NotFound
from triune.core.workspace import Workspace
from triune.delivery.flags.cache import Cache, cache_file
from triune.operations.services.addresses import Addresses


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "triune.toml").write_text('[workspace]\nname = "shop"\n')
    return Workspace(tmp_path)


def test_it_follows_the_server_of_the_workspace_around_it(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    (workspace.root / "src").mkdir()
    monkeypatch.chdir(workspace.root / "src")
    with serving(flag(default="on"), port=Addresses(workspace).port("flags")):
        api.set_provider_and_wait(triune.flag_provider(), "shop")
        assert api.get_client("shop").get_boolean_value("new-ui", False) is True
        api.shutdown()
    kept = Cache(cache_file(workspace.state, "clients")).load()
    assert kept == flags_of(flag(default="on"))


def test_it_follows_a_server_without_a_workspace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(NotFound):
        triune.flag_provider()
    with serving(flag(default="on")) as served:
        api.set_provider_and_wait(triune.flag_provider(served.url + "/"), "shop")
        api.shutdown()
    api.set_provider_and_wait(triune.flag_provider(served.url + "/"), "shop")
    assert api.get_client("shop").get_boolean_value("new-ui", False) is True
    api.shutdown()
    assert len(list(tmp_path.glob(".cache/triune/flags/*.json"))) == 1
