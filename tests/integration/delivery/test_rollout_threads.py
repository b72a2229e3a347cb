"""Many threads that read a workspace's rollouts for the first time, all at once.

msgspec prepares a type when it is first decoded; two threads that do so together end the process.
A controller with several rollouts reads them in that way when it starts.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.delivery import ENDPOINT, ROOT
from tests.support.rollouts import in_canary, rolling

pytestmark = pytest.mark.engine

READERS = """
import sys, threading
from pathlib import Path

from triune.delivery.release import BundleStore
from triune.delivery.rollout.store import RecordStore
from triune.delivery.store import EndpointStore

state, endpoint, release = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
records, found = RecordStore(state / "rollouts"), []
reads = [
    lambda: records.load(endpoint),
    lambda: records.gates(endpoint, "none"),
    lambda: EndpointStore(state / "endpoints").load(endpoint),
    lambda: BundleStore(state / "releases").get(release),
] * 6
start = threading.Barrier(len(reads))


def read(how):
    start.wait()
    found.append(how())


sys.setswitchinterval(1e-6)
threads = [threading.Thread(target=read, args=(how,)) for how in reads]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert len(found) == len(reads) and None not in found
"""


def test_the_first_reads_may_be_made_by_many_threads(tmp_path: Path) -> None:
    with rolling(tmp_path, driven=False) as stage:
        ticket = in_canary(stage, 1000)
        release = stage.conductor.records.load(ENDPOINT)
        assert release is not None
        stage.rollouts.pause(ticket.endpoint, "let us look", actor="user:ada")
        argv = [sys.executable, "-c", READERS, str(stage.workspace.state), ENDPOINT]
        for _ in range(5):
            done = subprocess.run(
                [*argv, release.release], cwd=ROOT, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
