"""kill -9 in the middle of building or adding a dataset."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.data import MemoryLog, shop_in, workspace_in
from triune.core.waiting import wait_until
from triune.data.backends.dvc import DvcStore
from triune.data.model import Remote
from triune.data.service import Data

HANGING = """
import time
from pathlib import Path

def build(folder: Path) -> None:
    (folder / "half.csv").write_text("half")
    Path({mark!r}).touch()
    time.sleep(60)
"""

BUILDER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from tests.support.data import MemoryLog, FolderStore
from triune.core.workspace import Workspace
from triune.data.model import Remote
from triune.data.service import Data
root = Path(sys.argv[1])
Data(Workspace(root), MemoryLog(), FolderStore(root / "x"), Remote("here")).build("sales")
"""

REPOSITORY = str(Path(__file__).parent.parent.parent)


def test_a_build_killed_midway_leaves_the_previous_content_and_the_next_cleans_up(
    tmp_path: Path,
) -> None:
    shop_in(tmp_path / "shop").data.build("sales")
    mark = tmp_path / "started"
    workspace_in(tmp_path / "shop", HANGING.format(mark=str(mark)))
    child = subprocess.Popen([sys.executable, "-c", BUILDER, str(tmp_path / "shop"), REPOSITORY])
    try:
        wait_until(mark.exists, timeout=30, what="the build to begin")
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    folder = tmp_path / "shop" / "data"
    assert (folder / "sales" / "a.csv").read_text() == "x,y\n1,2\n3,4\n"

    assert not shop_in(tmp_path / "shop").data.build("sales").changed
    assert [path.name for path in folder.iterdir()] == ["sales"]


ADDER = """
import sys, os, signal
from pathlib import Path
from triune.data.backends.dvc import DvcStore
from triune.data.model import Remote
from triune.data.fast import pointer
root = Path(sys.argv[1])
def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
pointer.write = die  # after the cache was filled, before the .dvc file is written
remote = Remote(str(root / ".triune/dvc-remote"))
DvcStore(root, root / ".triune/dvc", remote).add(root / "data/sales")
"""


@pytest.mark.engine
def test_an_add_killed_midway_is_done_by_the_next(tmp_path: Path) -> None:
    shop = shop_in(tmp_path)
    shop.data.build("sales")
    child = subprocess.run([sys.executable, "-c", ADDER, str(tmp_path)], check=False)
    assert child.returncode == -signal.SIGKILL

    remote, log = Remote(str(tmp_path / ".triune" / "dvc-remote")), MemoryLog()
    data = Data(shop.workspace, log, DvcStore(tmp_path, tmp_path / ".triune/dvc", remote), remote)
    version = data.add("sales")
    assert data.current("sales") == version
    assert len(log.events) == 1
