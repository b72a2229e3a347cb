"""Settings that follow the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from triune.core.errors import ConfigError
from triune.core.following import follow
from triune.core.workspace import Workspace

GOOD = '[workspace]\nname = "{}"\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "triune.toml"
    path.write_text(GOOD.format("one"))
    return path


def test_an_edit_is_seen_at_the_next_look(file: Path) -> None:
    told: list[str] = []
    workspace = follow(file.parent, told.append)
    assert workspace.name == "one"
    file.write_text(GOOD.format("two-longer"))
    assert workspace.name == "two-longer"
    assert told == ["triune.toml has changed and was read anew"]


def test_an_unchanged_file_is_read_once(file: Path) -> None:
    workspace = follow(file.parent, print)
    assert workspace.config is workspace.config


@pytest.mark.parametrize("content", ["[workspace", '[workspace]\nname = "x"\nodd = 1\n', None])
def test_a_broken_file_keeps_the_last_good_settings_and_is_told_once(
    file: Path, content: str | None
) -> None:
    told: list[str] = []
    workspace = follow(file.parent, told.append)
    assert workspace.name == "one"
    if content is None:
        file.unlink()
    else:
        file.write_text(content)
    assert [workspace.name for _ in range(3)] == ["one"] * 3
    (words,) = told
    assert "going on with the settings before" in words
    file.write_text(GOOD.format("mended"))
    assert workspace.name == "mended"


def test_a_file_that_was_never_good_is_an_error(file: Path) -> None:
    file.write_text("[workspace")
    workspace = follow(file.parent, print)
    for _ in range(2):
        with pytest.raises(ConfigError):
            workspace.config  # noqa: B018
    file.write_text(GOOD.format("one"))
    assert workspace.name == "one"


def test_the_workspace_of_a_command_keeps_what_it_began_with(file: Path) -> None:
    workspace = Workspace(file.parent)
    assert workspace.name == "one"
    file.write_text(GOOD.format("two-longer"))
    assert workspace.name == "one"
