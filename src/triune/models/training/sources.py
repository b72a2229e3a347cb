"""The hash of a function's source: its module and every workspace module that one imports."""

from __future__ import annotations

import ast
import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path

from triune.core.errors import NotFound

_PARSING = threading.Lock()
"""CPython before 3.11.5 raises SystemError when two threads build syntax trees at once."""


def digest(entry_point: str, code: Path) -> str:
    """64 hex digits over the sources, below the folder ``code``, that ``module:function`` uses.

    Only static imports are followed. Nothing is imported or run.

    Raises
    ------
    NotFound: (``entry-point-source``) the module has no source file in the folder.
    """
    start = entry_point.partition(":")[0]
    if _file(start, code) is None:
        raise NotFound(
            "entry-point-source",
            f"there is no module {start} in the workspace's code",
            context=str(code),
            hint="Mend the entry point in triune.toml, or `code` in its [workspace].",
        )
    waiting, seen = [start], dict[str, bytes]()
    while waiting:
        module = waiting.pop()
        path = _file(module, code)
        if path is None or module in seen:
            continue
        seen[module] = path.read_bytes()
        waiting += _parents(module)
        waiting += _imports(seen[module], module, is_package=path.name == "__init__.py")
    hasher = hashlib.sha256(entry_point.encode())
    for module in sorted(seen):
        hasher.update(f"\0{module}\0{len(seen[module])}\0".encode() + seen[module])
    return hasher.hexdigest()


def _file(module: str, code: Path) -> Path | None:
    base = code.joinpath(*module.split("."))
    candidates = (base.with_name(base.name + ".py"), base / "__init__.py")
    return next((path for path in candidates if path.is_file()), None)


def _parents(module: str) -> Iterator[str]:
    while module := module.rpartition(".")[0]:
        yield module


def _imports(source: bytes, module: str, *, is_package: bool) -> Iterator[str]:
    try:
        with _PARSING:
            tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return  # importing it will say so; its bytes are hashed all the same
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, module, is_package)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _absolute(node: ast.ImportFrom, module: str, is_package: bool) -> str:
    if node.level == 0:
        return node.module or ""
    package = module.split(".") if is_package else module.split(".")[:-1]
    kept = package[: len(package) - node.level + 1]
    return ".".join([*kept, *([node.module] if node.module else [])])
