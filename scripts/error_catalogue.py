"""Finds every error that the source raises: reference, class, message and hint, as written."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from triune.core import errors

SOURCE = Path(__file__).parent.parent / "src" / "triune"
REFERENCE = re.compile(r"^[a-z0-9]+(-[a-z0-9]+)+$")


@dataclass(frozen=True, slots=True)
class Raised:
    """One place that makes an error."""

    reference: str
    exit_code: int
    message: str
    hint: str
    file: str


def find() -> list[Raised]:
    """All of them, sorted by reference."""
    codes = _exit_codes()
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                found += list(_raised(node, codes, path.relative_to(SOURCE).as_posix()))
    return sorted(found, key=lambda r: (r.reference, r.file))


def _raised(call: ast.Call, codes: dict[str, int], file: str) -> Iterator[Raised]:
    name = getattr(call.func, "id", getattr(call.func, "attr", ""))
    if name not in codes or not call.args:
        return
    options = {k.arg: k.value for k in call.keywords}
    message = _text(call.args[1]) if len(call.args) > 1 else ""
    for reference in _literals(call.args[0]):
        yield Raised(reference, codes[name], message, _text(options.get("hint")), file)


def _literals(node: ast.expr) -> Iterator[str]:
    """The reference, or both of a conditional one."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from _literals(node.body)
        yield from _literals(node.orelse)


def _text(node: ast.expr | None) -> str:
    """A string as people read it, with what is filled in between angle brackets."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(
            part.value if isinstance(part, ast.Constant) else f"<{_name(part)}>"  # type: ignore[misc]
            for part in node.values
        )
    if isinstance(node, ast.BinOp):
        return _text(node.left) + _text(node.right)
    if isinstance(node, ast.IfExp):
        return _text(node.body) or _text(node.orelse)
    return ""


def _name(node: ast.expr) -> str:
    names = [n.id if isinstance(n, ast.Name) else n.attr
             for n in ast.walk(node) if isinstance(n, ast.Name | ast.Attribute)]  # fmt: skip
    return (names[0] if names else "...").strip("_")


def _exit_codes() -> dict[str, int]:
    """Exit code of every class that descends from `TriuneError`, by its name."""
    bases: dict[str, list[str]] = {}
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                bases[node.name] = [getattr(b, "id", getattr(b, "attr", "")) for b in node.bases]
    known = {
        name: int(kind.exit_code)
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, errors.TriuneError)
    }
    known.pop("ConfigError")
    while True:
        more = {
            name: next(known[p] for p in parents if p in known)
            for name, parents in bases.items()
            if name not in known and name != "ConfigError" and any(p in known for p in parents)
        }
        if not more:
            return known
        known |= more
