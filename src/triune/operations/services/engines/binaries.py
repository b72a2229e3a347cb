"""Finding an engine's program, and saying which package brings it when it is not there."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sysconfig
from pathlib import Path

from triune.core.errors import MissingEngine


def in_package(engine: str, package: str, module: str, *parts: str) -> Path:
    """A program that lies inside an installed Python package, found without importing it.

    Raises
    ------
    MissingEngine: (``engine-missing``) naming the package.
    """
    found = importlib.util.find_spec(module)
    for folder in (found.submodule_search_locations or []) if found else []:
        program = Path(folder).joinpath(*parts)
        if os.access(program, os.X_OK):
            return program
    raise _missing(engine, package)


def in_scripts(engine: str, package: str, name: str) -> Path:
    """A program that a wheel has put beside the Python interpreter.

    Raises
    ------
    MissingEngine: (``engine-missing``) naming the package.
    """
    program = Path(sysconfig.get_path("scripts")) / name
    if os.access(program, os.X_OK):
        return program
    raise _missing(engine, package)


def of_system(engine: str, package: str, *names: str) -> Path:
    """A program from the operating system, or unpacked beside the Python interpreter by setup,
    under any of its names.

    Raises
    ------
    MissingEngine: (``engine-missing``) naming the Debian package.
    """
    beside = sysconfig.get_path("scripts")
    for name in names:
        program = shutil.which(name) or shutil.which(name, path=beside)
        if program:
            return Path(program)
    raise MissingEngine(
        "engine-missing",
        f"{engine} is not installed",
        context=f"[services.{engine}]",
        hint=f"Install the Debian package `{package}` (`apt-get install {package}`), or leave "
        f"it out: `enabled = false` under [services.{engine}] in triune.toml.",
    )


def _missing(engine: str, package: str) -> MissingEngine:
    return MissingEngine(
        "engine-missing",
        f"{engine} is not installed",
        context=f"[services.{engine}]",
        hint=f"Install the Python package `{package}` into this environment; it normally "
        "comes with Triune.",
    )
