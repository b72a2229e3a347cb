"""A private, checked copy of a model folder.

Checking a folder and then loading from it leaves a gap in which its files can change. So
the folder is copied first into a directory that only this user can enter, the *copy* is
checked (signature and digest), and every worker, also one started later, loads from the
copy after comparing its digest again. What is loaded is therefore what was signed, unless
the attacker already runs as this user or root.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from triune.core.errors import NotFound, Refused
from triune.core.ids import digest_tree
from triune.models.serving.ports import Verifier
from triune.models.serving.spec import ModelFile

SIGNATURE = "model.sig"
_PREFIX = "triune-serving-"


def make_folder(parent: Path | None) -> Path:
    """A new owner-only folder named after this process; those of dead ones are removed."""
    base = parent or Path(tempfile.gettempdir())
    base.mkdir(parents=True, exist_ok=True)
    for old in base.glob(f"{_PREFIX}*-*"):
        pid = old.name.removeprefix(_PREFIX).partition("-")[0]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists() and old.stat().st_uid == os.getuid():
            shutil.rmtree(old, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=base))


def take(model: ModelFile, into: Path, verify: Verifier) -> Path:
    """Copy a model folder to ``into`` and check the copy.

    Raises
    ------
    NotFound: (``model-missing``) there is no such folder.
    Refused: (``model-unsigned``) no signature; (``model-tampered``) the signature does not
        cover these bytes, or they are not the digest that was released.
    """
    if not model.path.is_dir():
        raise NotFound(
            "model-missing",
            f"{model.ref} is not on disk",
            context=str(model.path),
            hint="Check the artifact out, or register the model again.",
        )
    if not (model.path / SIGNATURE).is_file():
        raise Refused(
            "model-unsigned",
            f"{model.ref} has no signature",
            context=str(model.path),
            hint="Register it with `triune models`; only signed models are served.",
        )
    shutil.copytree(model.path, into, symlinks=True)
    verify(into, model.public_key, into / SIGNATURE)
    found = digest_tree(into, leave_out=[SIGNATURE])
    if found != model.digest:
        raise Refused(
            "model-tampered",
            f"{model.ref} is {found}, not the released {model.digest}",
            context=str(model.path),
            hint="Restore the artifact from a backup, or release a version that is intact.",
        )
    return into
