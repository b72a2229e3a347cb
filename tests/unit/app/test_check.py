"""`triune check` finds what the code lacks, and never runs it."""

from __future__ import annotations

from pathlib import Path

import pytest

from triune.app.check import check
from triune.core.errors import ConfigError
from triune.core.workspace import Workspace

TOML = """
[workspace]
name = "tiny"
[datasets.d]
path = "data/d"
build = "mine.data:build"
[features.f]
function = "mine.features:view"
dataset = "d"
"""


def workspace(root: Path, files: dict[str, str]) -> Workspace:
    (root / "triune.toml").write_text(TOML)
    for name, text in files.items():
        path = root / "src" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Workspace(root)


def test_sound_code_is_not_executed(tmp_path: Path) -> None:
    bomb = "raise SystemExit('executed')\n"
    sound = check(
        workspace(
            tmp_path,
            {
                "mine/data.py": bomb + "def build(folder): ...\n",
                "mine/features.py": bomb + "from x import view\n",
            },
        )
    )
    assert (sound.datasets, sound.features, sound.entry_points) == (1, 1, 2)


def test_everything_missing_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        check(workspace(tmp_path, {"mine/features.py": "def other(): ...\n"}))
    found = {p.key: p.what for p in caught.value.problems}
    assert "no module 'mine.data'" in found["datasets.d.build"]
    assert "no function 'view'" in found["features.f.function"]


def test_code_that_does_not_parse_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        check(
            workspace(
                tmp_path,
                {"mine/data.py": "def build(:\n", "mine/features.py": "view = print\n"},
            )
        )
    assert [p.key for p in caught.value.problems] == ["datasets.d.build"]
    assert "does not parse" in caught.value.problems[0].what
