"""``scripts/setup`` where the network is away."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[3] / "scripts" / "setup"
TOOLS = ("sh", "dirname", "cat", "cksum", "mkdir", "rm", "ln", "id")
STAMP = 'echo "$(cat requirements.lock pyproject.toml | cksum) $("$0" -V)"'


def test_an_update_that_fails_is_tried_once_in_a_run(tmp_path: Path) -> None:
    programs, calls = tmp_path / "bin", tmp_path / "calls"
    programs.mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found is not None
        (programs / tool).symlink_to(found)
    apt = programs / "apt-get"
    apt.write_text(f'#!/bin/sh\necho "$*" >> {calls}\nexit 100\n')
    apt.chmod(0o755)
    (tmp_path / "scripts").mkdir()
    shutil.copy(SCRIPT, tmp_path / "scripts" / "setup")
    for name in ("requirements.lock", "pyproject.toml"):
        (tmp_path / name).touch()
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    stamp = subprocess.run(
        ["sh", "-c", STAMP, sys.executable], cwd=tmp_path, check=True, capture_output=True
    )
    (tmp_path / ".venv" / ".triune-stamp").write_bytes(stamp.stdout)
    environment = {**os.environ, "PATH": str(programs)}

    def run() -> str:
        done = subprocess.run(
            [str(programs / "sh"), "scripts/setup", sys.executable],
            cwd=tmp_path,
            env=environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stderr

    words = run()
    for engine in ("prometheus", "prometheus-alertmanager", "restic"):
        assert f"{engine} is not here and was left out" in words
    assert calls.read_text() == "-qq update\n"
    run()
    assert calls.read_text() == "-qq update\n" * 2
