"""A live Prometheus scrapes an arm from its start to its end."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.delivery import ENDPOINT, Stage, staged
from tests.support.ports import free_port
from tests.support.services import MakeWorkspace, make_workspace, only
from triune.app import services
from triune.app.context import Context
from triune.app.serving_arms import ServingArms
from triune.core.waiting import wait_until
from triune.delivery.state import Arm, Colour

__all__ = ["make_workspace"]

pytestmark = pytest.mark.engine

METRICS = """
import http.server, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("content-type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(b'served_total{endpoint="flights/delay",arm="green"} 7\\n')
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with staged(tmp_path, with_envoy=False) as made:
        yield made


@pytest.fixture
def port() -> Iterator[int]:
    number = free_port()
    with subprocess.Popen([sys.executable, "-I", "-c", METRICS, str(number)]) as server:
        yield number
        server.kill()


def test_an_arm_is_scraped_until_it_is_forgotten(
    stage: Stage, port: int, make_workspace: MakeWorkspace
) -> None:
    workspace = make_workspace(settings=only("prometheus"))
    ctx = Context(workspace)
    up = services.up(ctx)
    if up.notes:
        pytest.skip("; ".join(up.notes))
    release = stage.delivery.releases.get(stage.release("delay@1"))
    arm = Arm(release.ref, Colour.GREEN, port, "arm-flights-delay-green")
    arms = ServingArms(workspace, stage.delivery.releases, stage.root / "signing.pub")

    def ask(query: str) -> list[dict[str, Any]]:
        url = f"{ctx.addresses.prometheus_url}/api/v1/query"
        answer = httpx.get(url, params={"query": query}).json()
        return [sample["metric"] for sample in answer["data"]["result"]]

    arms.process(release, arm)
    wait_until(lambda: ask('up{job="models"} == 1') != [], timeout=30, what="it is scraped")
    labels = {"endpoint": ENDPOINT, "release": release.ref, "arm": "green"}
    (metric,) = ask("served_total")
    assert {key: metric[key] for key in labels} == labels
    assert not [key for key in metric if key.startswith("exported_")]
    arms.forget(arm)
    wait_until(lambda: ask('up{job="models"}') == [], timeout=30, what="it is scraped no more")
