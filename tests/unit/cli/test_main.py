"""The door: help without imports, exit codes, errors as text and as JSON."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from triune.cli.table import COMMANDS

HEAVY = {"mlflow", "sklearn", "pandas", "numpy", "sqlalchemy", "rich", "pydantic", "onnxruntime"}


def triune(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "triune.cli.main", *arguments],
        cwd=cwd, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_help_lists_every_command_and_imports_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom triune.cli.main import main\n"
        "try:\n    main(['--help'])\n"
        "except SystemExit:\n    print('LOADED', *sorted(sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    text, _, loaded = done.stdout.partition("LOADED")
    for name, (_, words) in COMMANDS.items():
        assert f"\n  {name} " in text
        assert words.split()[0] in text
    assert not HEAVY & set(loaded.split())


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_in_the_table_is_the_commands_own(name: str) -> None:
    module, words = COMMANDS[name]
    command = typer.main.get_command(importlib.import_module(module).app)
    assert (command.help or "").strip().splitlines()[0] == words


def test_an_unknown_command_is_a_usage_error(tmp_path: Path) -> None:
    done = triune("fly", cwd=tmp_path)
    assert done.returncode == 2
    assert "No such command 'fly'" in done.stderr


def test_outside_a_workspace_the_error_says_what_next(tmp_path: Path) -> None:
    done = triune("check", cwd=tmp_path)
    assert done.returncode == 5
    assert "error[workspace-not-found]" in done.stderr
    assert "triune init" in done.stderr


def test_an_error_is_an_object_with_json(tmp_path: Path) -> None:
    (tmp_path / "triune.toml").write_text("[workspace]\nname = 'A'\n[x]\n")
    done = triune("check", "--json", cwd=tmp_path)
    assert done.returncode == 3
    error = json.loads(done.stdout)
    assert error["error"] == "config-invalid"
    assert {p["key"] for p in error["problems"]} == {"workspace.name", "x"}


def test_the_workspace_can_be_named(tmp_path: Path) -> None:
    folder = tmp_path / "w"
    folder.mkdir()
    (folder / "triune.toml").write_text("[workspace]\nname = 'a'\n")
    done = triune("--workspace", str(folder), "check", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("a is sound")
