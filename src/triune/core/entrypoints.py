"""Loading a workspace's own code by the entry points its `triune.toml` names."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from triune.core.errors import TriuneError


class EntryPointError(TriuneError):
    """The workspace's code could not be imported or lacks the function."""


def load(entry_point: str, code: Path) -> Callable[..., Any]:
    """The function ``module:function``, with the folder ``code`` importable.

    Raises
    ------
    EntryPointError: the module does not import, or has no such function.
    """
    module_name, _, function_name = entry_point.partition(":")
    folder = str(code.resolve())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise EntryPointError(
            "entry-point-import",
            f"{module_name} does not import: {type(error).__name__}: {error}",
            context=folder,
            hint=f"Run `python -c 'import {module_name}'` in that folder to see the traceback.",
        ) from error
    function = getattr(module, function_name, None)
    if not callable(function):
        raise EntryPointError(
            "entry-point-missing",
            f"{module_name} has no function {function_name!r}",
            context=str(getattr(module, "__file__", folder)),
            hint="Mend the entry point in triune.toml or write the function.",
        )
    return function  # type: ignore[no-any-return]
