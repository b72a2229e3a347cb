"""The servers that are compared, each as a started process that answers at a port."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from tests.support.serving import free_port

from bench.serving_peers.models import NAMES, ROW, WIDTH
from triune.core.ids import digest_tree
from triune.core.waiting import wait_until
from triune.models.serving.spec import ModelFile, ServingSpec

MLSERVER = ("mlserver==1.7.*", "mlserver-sklearn==1.7.*", "uvloop<0.22")
_TENSOR = {"name": "input-0", "shape": [1, WIDTH], "datatype": "FP64", "data": ROW}


@dataclass
class Contestant:
    """One way to be asked; ``processes`` are those whose CPU time counts."""

    name: str
    port: int
    path: str
    body: Path
    processes: list[int] = field(default_factory=list)

    def cpu_seconds(self) -> float:
        """Processor time of the server's whole tree so far."""
        total = 0.0
        for pid in self.processes:
            root = psutil.Process(pid)
            for process in (root, *root.children(recursive=True)):
                times = process.cpu_times()
                total += times.user + times.system
        return total


class Stable:
    """Starts servers in one folder and stops them all."""

    def __init__(self, shelf: Path, cache: Path) -> None:
        self.shelf = shelf
        self.cache = cache
        self._processes: list[subprocess.Popen[bytes]] = []

    def close(self) -> None:
        """Kill every server and its children."""
        for process in self._processes:
            if process.poll() is None:
                for child in psutil.Process(process.pid).children(recursive=True):
                    child.kill()
                process.kill()
            process.wait()

    def triune(self, name: str, model: str, *, columns: bool = False) -> Contestant:
        """Our server, one worker, with all headers and metrics."""
        folder, port = self.shelf / model, free_port()
        spec = ServingSpec(
            endpoint="bench/model",
            model_name="bench-model",
            arm="stable",
            release="release:bench-model@0123456789ab",
            model=ModelFile(
                ref="model:bench@1",
                path=folder,
                digest=digest_tree(folder, leave_out=["model.sig"]),
                public_key=self.shelf / "keys" / "signing.pub",
            ),
            port=port,
        )
        spec_path = self.shelf / f"{port}.json"
        spec.save(spec_path)
        pid = self._start([sys.executable, "-m", "triune.models.serving", str(spec_path)], port)
        inputs = [_TENSOR]
        if columns:
            inputs = [
                {"name": column, "shape": [1], "datatype": "FP64", "data": [value]}
                for column, value in zip(NAMES, ROW, strict=True)
            ]
        body = self._body(f"{name}", {"inputs": inputs})
        return Contestant(name, port, "/v2/models/bench-model/infer", body, [pid])

    def envoy(self, behind: Contestant, name: str) -> Contestant:
        """Envoy before another contestant; both count."""
        port, admin = free_port(), free_port()
        config = self.shelf / "envoy.json"
        config.write_text(json.dumps(_envoy(port, admin, behind.port)))
        argv = ["-c", str(config), "--concurrency", "1", "--use-dynamic-base-id", "-l", "error"]
        pid = self._start([_envoy_binary(), *argv], port)
        return Contestant(name, port, behind.path, behind.body, [*behind.processes, pid])

    def mlflow(self, name: str, model: str, payload: dict[str, Any]) -> Contestant:
        """``mlflow models serve`` in this environment, one worker."""
        port = free_port()
        program = str(Path(sys.executable).with_name("mlflow"))
        where = ["-m", str(self.shelf / model / "mlflow"), "-p", str(port), "-w", "1"]
        pid = self._start([program, "models", "serve", *where, "--env-manager", "local"], port)
        return Contestant(name, port, "/invocations", self._body(name, payload), [pid])

    def mlserver(self, name: str) -> Contestant:
        """MLServer in an environment of its own, in one process."""
        home, port = self.cache / "mlserver", free_port()
        if not (home / "ready").exists():
            subprocess.run(["uv", "venv", "-q", "-p", sys.executable, str(home)], check=True)
            packages = [*MLSERVER, f"scikit-learn=={_version('scikit-learn')}"]
            python = str(home / "bin" / "python")
            subprocess.run(["uv", "pip", "install", "-q", "-p", python, *packages], check=True)
            (home / "ready").touch()
        folder = self.shelf / "mlserver"
        folder.mkdir(exist_ok=True)
        settings = {"http_port": port, "parallel_workers": 0, "host": "127.0.0.1"}
        more = {"grpc_port": free_port(), "metrics_port": free_port(), "debug": False}
        (folder / "settings.json").write_text(json.dumps(settings | more))
        implementation = "mlserver_sklearn.SKLearnModel"
        model = {"name": "lr", "implementation": implementation}
        uri = {"parameters": {"uri": str(self.shelf / "lr.joblib")}}
        (folder / "model-settings.json").write_text(json.dumps(model | uri))
        pid = self._start([str(home / "bin" / "mlserver"), "start", str(folder)], port)
        body = self._body(name, {"inputs": [_TENSOR | {"name": "predict"}]})
        return Contestant(name, port, "/v2/models/lr/infer", body, [pid])

    def _body(self, name: str, payload: dict[str, Any]) -> Path:
        path = self.shelf / f"{name.replace(' ', '-')}.body"
        path.write_text(json.dumps(payload))
        return path

    def _start(self, argv: Sequence[str], port: int) -> int:
        own = str(Path(argv[0]).parent)  # `mlflow models serve` looks for uvicorn there
        environment = os.environ | {
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "PATH": os.pathsep.join([own, os.environ.get("PATH", os.defpath)]),
        }
        with (self.shelf / f"{port}.log").open("wb") as log:
            process = subprocess.Popen(
                argv, stdout=log, stderr=subprocess.STDOUT, env=environment, start_new_session=True
            )
        self._processes.append(process)
        wait_until(lambda: process.poll() is not None or _listens(port), timeout=120, what=argv[0])
        if process.poll() is not None:
            raise SystemExit((self.shelf / f"{port}.log").read_text()[-3000:])
        return process.pid


def tensor_payload() -> dict[str, Any]:
    """MLflow's quickest format."""
    return {"inputs": [ROW]}


def frame_payload() -> dict[str, Any]:
    """MLflow's usual format."""
    return {"dataframe_split": {"columns": NAMES, "data": [ROW]}}


def _listens(port: int) -> bool:
    import socket

    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _version(package: str) -> str:
    from importlib.metadata import version

    return version(package)


def _envoy_binary() -> str:
    import envoy

    return str(Path(envoy.__path__[0]) / "_bin" / "envoy")


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _envoy(port: int, admin: int, upstream: int) -> dict[str, Any]:
    types = "type.googleapis.com/envoy.extensions.filters"
    routes = [{"match": {"prefix": "/"}, "route": {"cluster": "model"}}]
    manager = {
        "@type": f"{types}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "bench",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{types}.http.router.v3.Router"},
            }
        ],
    }
    network = {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}
    endpoint = {"endpoint": {"address": _address(upstream)}}
    cluster = {
        "name": "model",
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": "model",
            "endpoints": [{"lb_endpoints": [endpoint]}],
        },
    }
    listener = {"address": _address(port), "filter_chains": [{"filters": [network]}]}
    return {
        "admin": {"address": _address(admin)},
        "static_resources": {"listeners": [listener], "clusters": [cluster]},
    }
