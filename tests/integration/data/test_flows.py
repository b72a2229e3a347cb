"""A flow under a real Prefect server: its run and tasks are there to see."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.support.services import MakeWorkspace, make_workspace, only
from triune.app import services
from triune.app.context import Context

__all__ = ["make_workspace"]

TOML = """
[datasets.sales]
path = "data/sales"
[[datasets.sales.expect]]
min_rows = 1
[flows.nightly]
build = ["sales"]
check = ["sales"]
retries = 1
retry_delay_s = 0.1
"""

pytestmark = [pytest.mark.engine, pytest.mark.slow]


@pytest.fixture
def context(make_workspace: MakeWorkspace) -> Iterator[Context]:
    names = ("postgres", "seaweedfs", "prefect")
    workspace = make_workspace(settings=only(*names, profile="server") + TOML)
    folder = workspace.root / "data" / "sales"
    folder.mkdir(parents=True)
    (folder / "a.csv").write_text("x\n1\n")
    made = Context(workspace)
    services.up(made)
    yield made
    made.close()


def test_a_flow_is_visible_in_prefect(context: Context) -> None:
    result = context.flows.run("nightly")
    assert (result.ok, result.by) == (True, "prefect"), result.parts
    api = context.addresses.prefect_api
    (run,) = httpx.post(f"{api}/flow_runs/filter", json={}, timeout=30).json()
    assert run["state_type"] == "COMPLETED"
    tasks = httpx.post(f"{api}/task_runs/filter", json={}, timeout=30).json()
    assert {task["name"].rsplit("-", 1)[0] for task in tasks} == {"build sales", "check sales"}

    (context.workspace.root / "data" / "sales" / "a.csv").write_text("x\n")
    failed = context.flows.run("nightly")
    assert not failed.ok
    assert failed.parts[-1].attempts == 2
    assert "dataset-check-failed" in failed.parts[-1].words
    assert [one.ok for one in context.flows.history("nightly")] == [False, True]
