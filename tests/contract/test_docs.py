"""The documentation speaks of all there is: commands, settings, events, errors, exit codes."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from triune.core.errors import ExitCode

ROOT = Path(__file__).parent.parent.parent
SOURCE = ROOT / "src" / "triune"
REFERENCE = ROOT / "docs" / "reference"


def _reference_script() -> ModuleType:
    path = ROOT / "scripts" / "reference.py"
    spec = importlib.util.spec_from_file_location("reference_script", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", ["commands.md", "configuration.md", "errors.md", "events.md"])
def test_a_derived_page_is_up_to_date(page: str) -> None:
    written = (REFERENCE / page).read_text()
    assert written == _reference_script().PAGES[page](), "run: python scripts/reference.py"


def test_every_setting_says_what_it_means() -> None:
    text = (REFERENCE / "configuration.md").read_text()
    silent = re.findall(r"^\| `(\w+)` \|[^\n]*\|  \|$", text, flags=re.MULTILINE)
    assert silent == []


def test_error_references_are_kebab_case() -> None:
    catalogue = _reference_script().error_catalogue
    odd = [r for r in catalogue.find() if not catalogue.REFERENCE.match(r.reference)]
    assert odd == []


def test_every_error_says_what_happened_and_what_next() -> None:
    rows = re.findall(
        r"^\| `([a-z0-9-]+)` \| (\d+) \| (.*?) \| (.*?) \|$",
        (REFERENCE / "errors.md").read_text(),
        re.MULTILINE,
    )
    assert len(rows) > 100
    assert [name for name, _, what, _ in rows if not what.strip()] == []
    assert [name for name, _, _, hint in rows if not hint.strip()] == []


def test_every_exit_code_is_documented() -> None:
    text = (REFERENCE / "commands.md").read_text()
    for code in ExitCode:
        assert f"| {code.value} | " in text


def test_no_page_names_this_machine() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *SOURCE.rglob("*.py")]
    guilty = [str(p) for p in pages if str(ROOT) + "/" in p.read_text()]
    assert guilty == []
