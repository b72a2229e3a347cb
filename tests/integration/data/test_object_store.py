"""Dataset versions on the server profile: the remote is a bucket of a real object store."""

from __future__ import annotations

import shutil

import pytest

from tests.support.services import MakeWorkspace, make_workspace, only
from triune.app import services
from triune.app.context import Context
from triune.core.errors import Unavailable
from triune.core.ids import digest_tree

__all__ = ["make_workspace"]

DATASET = '\n[datasets.sales]\npath = "data/sales"\n'


@pytest.mark.engine
@pytest.mark.slow
def test_a_version_goes_to_s3_and_comes_back_from_it_alone(make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace(settings=only("postgres", "seaweedfs", profile="server") + DATASET)
    ctx = Context(workspace)
    services.up(ctx)
    try:
        folder = workspace.root / "data" / "sales"
        (folder / "deep").mkdir(parents=True)
        (folder / "a.csv").write_text("x\n1\n")
        (folder / "deep" / "b.csv").write_text("x\n2\n")
        version = ctx.data.add("sales")
        assert ctx.data.add("sales") == version

        s3 = ctx.addresses.s3
        assert s3 is not None
        local = workspace.root / ".dvc" / "config.local"
        assert local.stat().st_mode & 0o777 == 0o600
        shutil.rmtree(workspace.root / ".dvc" / "cache")
        shutil.rmtree(folder)
        out = ctx.data.checkout(version.ref, workspace.root / "out")
        assert digest_tree(out) == version.digest

        ctx.supervisor.remove("seaweedfs")
        (workspace.root / "data" / "sales").mkdir()
        (folder / "new.csv").write_text("x\n3\n")
        with pytest.raises(Unavailable) as caught:
            ctx.data.add("sales")
        assert caught.value.reference == "remote-unreachable"
        assert s3.secret_key not in str(caught.value.as_dict())
        assert [found.ref for found in ctx.data.log("sales")] == [version.ref]
    finally:
        ctx.close()
