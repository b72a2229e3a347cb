"""The documentation speaks of everything there is: commands, settings, events, errors, exit codes."""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterator
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


@pytest.mark.parametrize("page", ["commands.md", "configuration.md", "events.md"])
def test_a_derived_page_is_up_to_date(page: str) -> None:
    written = (REFERENCE / page).read_text()
    assert written == _reference_script().PAGES[page](), "run: python scripts/reference.py"


def test_every_setting_says_what_it_means() -> None:
    text = (REFERENCE / "configuration.md").read_text()
    silent = re.findall(r"^\| `(\w+)` \|[^\n]*\|  \|$", text, flags=re.MULTILINE)
    assert silent == []


def error_references() -> Iterator[tuple[str, str]]:
    """The first argument of every call of an error class, wherever it is a literal."""
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            first = node.args[0]
            if name in ERRORS and isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield first.value, str(path.relative_to(ROOT))


def _error_classes() -> set[str]:
    """Names of all classes that descend from `TriuneError`, found in the source."""
    bases: dict[str, set[str]] = {}
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                bases[node.name] = {getattr(b, "id", getattr(b, "attr", "")) for b in node.bases}
    known = {"TriuneError"}
    while True:
        more = {name for name, parents in bases.items() if parents & known} - known
        if not more:
            return known
        known |= more


ERRORS = _error_classes()


def test_every_error_is_documented_and_every_documented_error_exists() -> None:
    raised = dict(error_references())
    documented = set(
        re.findall(r"^\| `([a-z0-9-]+)` \|", (REFERENCE / "errors.md").read_text(), re.MULTILINE)
    )
    assert set(raised) - documented == set(), "not in docs/reference/errors.md"
    assert documented - set(raised) - {"config-invalid"} == set(), "documented, never raised"


def test_error_references_are_kebab_case() -> None:
    assert [
        r for r, _ in error_references() if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", r)
    ] == []


def test_every_exit_code_is_documented() -> None:
    text = (REFERENCE / "commands.md").read_text()
    for code in ExitCode:
        assert f"| {code.value} | " in text


def test_no_page_names_this_machine() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *SOURCE.rglob("*.py")]
    guilty = [str(p) for p in pages if str(ROOT) + "/" in p.read_text()]
    assert guilty == []
