"""The wheel holds all that an installed Triune needs besides its modules."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
NEEDED = (
    "triune/py.typed",
    "triune/app/scaffold/files/triune.toml.tmpl",
    "triune/app/scaffold/files/src/PACKAGE/train.py.tmpl",
    "triune/app/report/templates/report.html.j2",
    "triune/app/report/templates/style.css",
    "triune/delivery/gateway/backends/bucket.lua",
    "triune/ledger/migrations/env.py",
)


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    (wheel,) = folder.glob("*.whl")
    return zipfile.ZipFile(wheel).namelist()


@pytest.mark.parametrize("name", NEEDED)
def test_it_holds(names: list[str], name: str) -> None:
    assert name in names


def test_it_holds_every_migration(names: list[str]) -> None:
    folder = ROOT / "src" / "triune" / "ledger" / "migrations"
    here = {f"triune/ledger/migrations/{p.relative_to(folder)}" for p in folder.rglob("*.py")}
    assert here <= set(names)


def test_it_holds_the_licence_and_nothing_of_this_machine(names: list[str]) -> None:
    assert any(name.endswith("LICENSE") for name in names)
    assert [name for name in names if ".triune/" in name or name.endswith(".pyc")] == []
