"""What stages made, as `dvc.lock` tells it. Imports no DVC."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from triune.core.errors import TriuneError
from triune.data.ports import Tracked

LOCK = "dvc.lock"


def stages(root: Path) -> dict[str, dict[str, Any]]:
    """Each stage that has run, with its command, deps, params and outs.

    Raises
    ------
    TriuneError: (``dvc-file-invalid``) the lock cannot be read.
    """
    file = root / LOCK
    if not file.is_file():
        return {}
    import yaml

    try:
        found: dict[str, dict[str, Any]] = yaml.safe_load(file.read_text(encoding="utf-8"))[
            "stages"
        ]
        return dict(found)
    except (yaml.YAMLError, LookupError, TypeError, UnicodeDecodeError) as error:
        raise TriuneError(
            "dvc-file-invalid",
            f"the lock does not say what the stages made: {error}",
            context=str(file),
            hint="Restore it from git, or delete it and run `triune data run`.",
        ) from error


def of(root: Path, path: Path) -> Tracked | None:
    """The content that a stage made at ``path``; None for a path that no stage has made."""
    if not (root / LOCK).is_file():
        return None
    name = Path(os.path.relpath(path, root)).as_posix()
    for stage in stages(root).values():
        for out in stage.get("outs", ()):
            if out.get("path") == name and "md5" in out:
                return Tracked(str(out["md5"]), root / LOCK)
    return None
