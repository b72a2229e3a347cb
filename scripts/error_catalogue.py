"""Finds every error that the source raises: reference, class, message and hint, as written."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from triune.core import errors

SOURCE = Path(__file__).parent.parent / "src" / "triune"
REFERENCE = re.compile(r"^[a-z0-9]+(-[a-z0-9]+)*$")


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
                where = path.relative_to(SOURCE).as_posix()
                found += list(_raised(node, codes, where, _constants(tree)))
    return sorted(found, key=lambda r: (r.reference, r.file))


def _constants(tree: ast.Module) -> dict[str, ast.expr]:
    """What the module's own names stand for."""
    return {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def _raised(
    call: ast.Call, codes: dict[str, int], file: str, constants: dict[str, ast.expr]
) -> Iterator[Raised]:
    name = getattr(call.func, "id", getattr(call.func, "attr", ""))
    if name not in codes or not call.args:
        return
    options = {k.arg: k.value for k in call.keywords}
    message = _text(call.args[1], constants) if len(call.args) > 1 else ""
    hint = _text(options.get("hint"), constants)
    for reference in _literals(call.args[0]):
        yield Raised(reference, codes[name], message, hint, file)


def _literals(node: ast.expr) -> Iterator[str]:
    """The reference, or both of a conditional one."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from _literals(node.body)
        yield from _literals(node.orelse)


def _text(node: ast.expr | None, constants: dict[str, ast.expr]) -> str:
    """A string as people read it, with what is filled in between angle brackets."""
    match node:
        case None | ast.Constant(value=None):
            text = ""
        case ast.Constant(value=str(text)):
            pass
        case ast.JoinedStr(values=parts):
            text = "".join(_text(part, constants) for part in parts)
        case ast.BinOp(left=left, right=right):
            text = _text(left, constants) + _text(right, constants)
        case ast.IfExp(body=body, orelse=orelse):
            text = _text(body, constants) or _text(orelse, constants)
        case ast.BoolOp(values=values):
            text = next(filter(None, (_text(value, constants) for value in values)), "")
        case ast.Name(id=name) if name in constants:
            text = _text(constants[name], {})
        case _:
            text = f"<{_name(node)}>"
    return text


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
