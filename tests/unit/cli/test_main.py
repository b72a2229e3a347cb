"""The door: help without imports, exit codes, errors as text and as JSON."""

from __future__ import annotations

import importlib
import json
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from triune.cli.main import main
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


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("fly",), "No such command 'fly'"),
        (("runs", "--limit", "x"), "Invalid value for '--limit'"),
        (("runs", "show"), "Missing argument"),
        (("lineage",), "give a reference or --coverage"),
    ],
)
def test_a_usage_error_is_an_object_with_json(
    tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    done = triune(*arguments, "--json", cwd=tmp_path)
    assert done.returncode == 2
    error = json.loads(done.stdout)
    assert error["error"] == "usage"
    assert words in error["message"]
    assert error["exit_code"] == 2
    assert error["hint"].startswith("See its arguments: `triune")
    assert done.stderr == ""


def test_a_broken_state_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "triune.toml").write_text("[workspace]\nname = 'a'\n")
    ports = tmp_path / ".triune" / "state" / "ports.json"
    ports.parent.mkdir(parents=True)
    ports.write_text("{")
    done = triune("status", "--json", cwd=tmp_path)
    assert done.returncode == 6, done.stderr
    error = json.loads(done.stdout)
    assert (error["error"], error["context"]) == ("file-broken", str(ports))


@pytest.fixture
def crashing(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(workspace: object) -> None:
        raise ZeroDivisionError("of what\nnobody foresaw")

    monkeypatch.setattr("triune.app.check.check", crash)


@pytest.fixture
def run_main(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        return int(ended.value.code or 0), *capsys.readouterr()

    return run


@pytest.mark.usefixtures("crashing")
def test_an_unexpected_error_is_a_sentence_and_its_traceback_a_file(
    tmp_path: Path, run_main: Callable[..., tuple[int, str, str]]
) -> None:
    (tmp_path / "triune.toml").write_text("[workspace]\nname = 'a'\n")
    code, out, err = run_main("-w", str(tmp_path), "check")
    assert (code, out) == (1, "")
    assert "error[internal-error]: unexpected ZeroDivisionError: of what nobody foresaw" in err
    assert "Traceback" not in err
    (kept,) = (tmp_path / ".triune" / "log").glob("crash-*.log")
    assert f"cat {kept}" in err
    assert "Traceback" in kept.read_text()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    code, out, err = run_main("-w", str(tmp_path), "check", "--json")
    assert (code, err) == (1, "")
    assert json.loads(out)["error"] == "internal-error"


@pytest.mark.usefixtures("crashing")
def test_a_traceback_goes_to_the_temporary_folder_where_the_workspace_takes_none(
    tmp_path: Path,
    run_main: Callable[..., tuple[int, str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "triune.toml").write_text("[workspace]\nname = 'a'\n")
    (tmp_path / ".triune").write_text("a file where the folder should be")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(elsewhere))
    code, _, err = run_main("-w", str(tmp_path), "check")
    (kept,) = elsewhere.glob("triune-crash-*.log")
    assert code == 1
    assert str(kept) in err
    kept.unlink()
    elsewhere.rmdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "triune.toml"))
    code, _, err = run_main("-w", str(tmp_path), "check")
    assert code == 1
    assert "ZeroDivisionError" in err.partition("Traceback")[2]
