"""A newcomer's first hour: every command of a new workspace's README, as it is written there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.engine,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.xdist_group("init"),
]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    home = tmp_path_factory.mktemp("home")
    (home / ".gitconfig").write_text("[user]\nname = T\nemail = t@localhost\n")
    scripts = sysconfig.get_path("scripts")
    return {**os.environ, "HOME": str(home), "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"}


@pytest.fixture(scope="module")
def workspace(
    tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]
) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("w") / "first"
    subprocess.run(["triune", "init", str(root)], env=environment, check=True, timeout=60)
    yield root
    subprocess.run(["triune", "down"], cwd=root, env=environment, check=False, timeout=60)


def test_every_command_of_the_readme_works(workspace: Path, environment: dict[str, str]) -> None:
    readme = (workspace / "README.md").read_text()
    commands = re.findall(r"^    ((?:triune|git) .*?)\s*(?:  # .*)?$", readme, re.MULTILINE)
    assert len(commands) >= 12
    release = ""
    for command in commands:
        line = re.sub(r"\s+# .*$", "", command).replace("RELEASE", release)
        done = subprocess.run(
            line, shell=True, cwd=workspace, env=environment,
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        if line == "triune release list":
            listed = subprocess.run(
                ["triune", "release", "list", "--json"],
                cwd=workspace, env=environment, capture_output=True, check=True,
            )  # fmt: skip
            release = json.loads(listed.stdout)[0]["ref"]
        if line == "triune lineage --coverage":
            assert "100.0%" in done.stdout


def test_its_own_tests_pass(workspace: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(
        ["pytest", "-q", "-p", "no:cacheprovider", "tests"],
        cwd=workspace, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_init_never_overwrites(workspace: Path, environment: dict[str, str]) -> None:
    before = (workspace / "triune.toml").read_bytes()
    done = subprocess.run(
        ["triune", "init", str(workspace), "--json"],
        env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 9
    assert json.loads(done.stdout)["error"] == "workspace-exists"
    assert (workspace / "triune.toml").read_bytes() == before


def test_a_name_that_does_not_fit_is_refused(tmp_path: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(
        ["triune", "init", str(tmp_path / "x"), "--name", "Über Uns", "--json"],
        env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 6
    assert json.loads(done.stdout)["error"] == "workspace-name"
    assert not (tmp_path / "x").exists()
