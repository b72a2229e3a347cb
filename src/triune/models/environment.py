"""The software a run was made with, as one hash, and how two environments differ."""

from __future__ import annotations

import hashlib
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from triune.core.files import read_json, write_json
from triune.core.ids import digest_file, reference
from triune.ledger.envelope import Event
from triune.models.once import told_once

LOCK_FILES = ("uv.lock", "requirements.lock")


@dataclass(frozen=True)
class Environment:
    """Python, platform and every installed distribution by name and version."""

    python: str
    platform: str
    packages: Mapping[str, str]

    @cached_property
    def key(self) -> str:
        """12 hex digits that change when anything in here does."""
        lines = [self.python, self.platform, *(f"{n}=={v}" for n, v in self.packages.items())]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]

    @property
    def ref(self) -> str:
        """The lineage reference ``environment:<key>``."""
        return reference("environment", self.key)


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not the same in two environments; None where it is missing."""

    name: str
    before: str | None
    now: str | None


def current() -> Environment:
    """The environment of this interpreter."""
    from importlib.metadata import distributions

    found: dict[str, str] = {}
    for distribution in distributions():
        name = distribution.metadata["Name"]
        if name and distribution.version:
            found.setdefault(name.lower().replace("_", "-"), distribution.version)
    return Environment(
        python=platform.python_version(),
        platform=f"{platform.system()}-{platform.machine()}",
        packages=dict(sorted(found.items())),
    )


def remembered(cache: Path) -> Environment:
    """`current`, taken from the file ``cache`` while no folder of ``sys.path`` has changed."""
    stamp = _stamp()
    known = read_json(cache)
    if isinstance(known, dict) and known.get("stamp") == stamp:
        return Environment(known["python"], known["platform"], known["packages"])
    found = current()
    write_json(cache, {"stamp": stamp, **as_dict(found)})
    return found


def differences(before: Environment, now: Environment) -> list[Difference]:
    """What is not the same, by name."""
    then = {"python": before.python, "platform": before.platform, **before.packages}
    today = {"python": now.python, "platform": now.platform, **now.packages}
    return [
        Difference(name, then.get(name), today.get(name))
        for name in sorted(then.keys() | today.keys())
        if then.get(name) != today.get(name)
    ]


def lock_digest(root: Path) -> str | None:
    """The hash of the nearest lock file in the workspace or a folder above; None without one."""
    for folder in (root, *root.parents):
        for name in LOCK_FILES:
            if (folder / name).is_file():
                return digest_file(folder / name)
        if (folder / ".git").exists():
            break
    return None


def as_dict(environment: Environment) -> dict[str, Any]:
    """The environment as JSON holds it."""
    return {
        "python": environment.python,
        "platform": environment.platform,
        "packages": dict(environment.packages),
    }


def load(folder: Path, key: str) -> Environment | None:
    """An environment that `recorded` kept in ``folder``; None when it was never recorded here."""
    known = read_json(folder / f"{key}.json")
    if known is None:
        return None
    fact = known["fact"]
    return Environment(fact["python"], fact["platform"], fact["packages"])


def recorded(environment: Environment, folder: Path, *, workspace: str, lock: str | None) -> Event:
    """The event that tells of the environment; always the same one for the same environment."""
    return told_once(
        folder / f"{environment.key}.json",
        "environment.recorded",
        environment.ref,
        workspace=workspace,
        payload={"lock": lock, **as_dict(environment)},
    )


def _stamp() -> str:
    """Changes when Python does, or when a distribution is installed or removed."""
    parts = [sys.version, platform.machine()]
    for entry in sys.path:
        folder = Path(entry or ".")
        if folder.is_dir():
            parts.append(f"{folder} {folder.stat().st_mtime_ns}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
