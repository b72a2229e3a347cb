"""The flag server as a service of a workspace, with its ledger."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from openfeature import api
from openfeature.evaluation_context import EvaluationContext

import triune
from tests.support.flag_servers import flag, heard, said
from tests.support.services import MakeWorkspace, listening, only
from triune.app import services
from triune.app.context import Context
from triune.core.waiting import wait_until
from triune.core.workspace import Workspace

pytestmark = pytest.mark.engine
CLIENTS = 100


@pytest.fixture
def workspace(make_workspace: MakeWorkspace) -> Iterator[Workspace]:
    yield make_workspace(settings=only("flags"))
    api.shutdown()


def test_a_change_by_command_reaches_everybody(workspace: Workspace) -> None:
    context = Context(workspace)
    context.flags.set(flag(), "new")
    assert services.up(context).started == ("flags",)
    port = context.addresses.port("flags")
    assert listening(workspace) == {("127.0.0.1", port)}
    api.set_provider_and_wait(triune.flag_provider(workspace=workspace.root / "src"), "shop")
    client = api.get_client("shop")
    assert client.get_boolean_value("new-ui", True) is False
    with ExitStack() as stack:
        streams = [stack.enter_context(said(port)) for _ in range(CLIENTS)]
        for one in streams:
            assert '"defaultVariant": "off"' in heard(one, "}}}}")
        words = ["flags", "default", "new-ui", "on", "-m", "for all"]
        argv = [sys.executable, "-m", "triune.cli.main", "-w", str(workspace.root), *words]
        subprocess.run(argv, check=True, capture_output=True)
        for one in streams:
            assert '"defaultVariant": "on"' in heard(one, "}}}")
    wait_until(lambda: client.get_boolean_value("new-ui", False), timeout=5, what="the change")
    url = f"{context.addresses.flags_url}/ofrep/v1/evaluate/flags/new-ui"
    about = {"targetingKey": "user-17"}
    assert httpx.post(url, json={"context": about}).json()["value"] is True
    found = client.get_boolean_details("new-ui", False, EvaluationContext("user-17"))
    assert (found.variant, found.error_code) == ("on", None)
    services.down(context)
    assert client.get_boolean_value("new-ui", False) is True
    context.close()


def test_without_its_ledger_the_server_serves_what_was_last(workspace: Workspace) -> None:
    context = Context(workspace)
    context.flags.set(flag(default="on"), "new")
    services.up(context)
    services.down(context)
    context.close()
    for file in workspace.home.glob("ledger.db*"):
        shutil.move(file, Path(f"{file}.away"))
    workspace.ledger_path.mkdir()
    context = Context(workspace)
    services.up_only(context, {"flags"})
    url = context.addresses.flags_url
    assert httpx.get(f"{url}/healthz").json()["ledger"] == "away"
    assert httpx.post(f"{url}/ofrep/v1/evaluate/flags/new-ui").json()["value"] is True
    workspace.ledger_path.rmdir()
    for file in workspace.home.glob("ledger.db*.away"):
        shutil.move(file, str(file).removesuffix(".away"))
    up = lambda: httpx.get(f"{url}/healthz").json()["ledger"] == "up"  # noqa: E731
    wait_until(up, timeout=10, what="the ledger is back")
    services.down(context)
    context.close()
