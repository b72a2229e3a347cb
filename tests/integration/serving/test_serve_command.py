"""``triune serve FOLDER`` answers, and refuses what is not signed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.support.models import make, shelf_of
from tests.support.ports import free_port
from tests.support.serving import column_body
from triune.core.errors import ExitCode
from triune.core.waiting import wait_until
from triune.models.registry import signing

pytestmark = pytest.mark.engine


def command(folder: Path, key: Path, port: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "triune.cli.main", "serve", str(folder)),
            *("--port", str(port), "--public-key", str(key)),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_signed_folder_is_served_until_interrupted(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    shelf = shelf_of(tmp_path_factory)
    folder, port = make("x", shelf), free_port()
    process = command(folder, shelf / "keys" / signing.PUBLIC, port)
    base = f"http://127.0.0.1:{port}"

    def ready() -> bool:
        try:
            return httpx.get(f"{base}/v2/health/ready").status_code == 200
        except httpx.HTTPError:
            return process.poll() is not None

    wait_until(ready, timeout=60, what="the server ready")
    reply = httpx.post(f"{base}/v2/models/x-onnx/infer", json=column_body(x=[0.5]))
    assert reply.status_code == 200
    assert reply.headers["x-triune-arm"] == "standalone"
    process.terminate()
    _, err = process.communicate(timeout=20)
    assert process.returncode == 0
    assert f"{base}/v2/models/x-onnx" in err


def test_an_unsigned_folder_is_refused(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    shelf = shelf_of(tmp_path_factory)
    folder = tmp_path / "m"
    shutil.copytree(make("x", shelf), folder, ignore=shutil.ignore_patterns("model.sig"))
    process = command(folder, shelf / "keys" / signing.PUBLIC, free_port())
    _, err = process.communicate(timeout=60)
    assert process.returncode == ExitCode.REFUSED
    assert "model-unsigned" in err
