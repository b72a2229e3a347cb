"""Serving one model without a release: what ``triune serve`` does."""

from __future__ import annotations

import re
import socket
from pathlib import Path

from triune.core.errors import NotFound
from triune.core.ids import digest_tree
from triune.models.serving.spec import ModelFile, ServingSpec


def standalone(model: ModelFile, *, port: int = 0, workers: int = 1) -> ServingSpec:
    """A spec for one model at an endpoint of its own name; port 0 picks a free one.

    It has no release: answers carry ``release:none`` and the arm ``standalone``.
    """
    name = re.sub(r"[^a-z0-9_-]", "-", model.ref.partition(":")[2].partition("@")[0].lower())
    return ServingSpec(
        endpoint=name,
        model_name=name,
        arm="standalone",
        release="release:none",
        model=model,
        port=port or _free_port(),
        workers=workers,
    )


def folder_model(folder: Path, public_key: Path) -> ModelFile:
    """A model folder that is in no registry: its digest is that of its bytes now, so only its
    signature speaks for them.

    Raises
    ------
    NotFound: (``model-missing``) no such folder.
    """
    if not folder.is_dir():
        raise NotFound(
            "model-missing",
            "there is no such model folder",
            context=str(folder),
            hint="Name a folder with mlflow/ and model.sig, or a model such as delay@2.",
        )
    path = folder.resolve()
    digest = digest_tree(path, leave_out=["model.sig"])
    return ModelFile(ref=f"model:{path.name}@0", path=path, digest=digest, public_key=public_key)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
