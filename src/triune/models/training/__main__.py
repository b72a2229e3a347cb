"""The process that trains: ``python -m triune.models.training [CHANNEL]``.

Its spec comes on standard input; ``CHANNEL`` is the descriptor of a socket whose other end
watches what this process reads.
"""

from __future__ import annotations

import ctypes
import importlib
import inspect
import os
import random
import shutil
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import Any

import msgspec

from triune.core import entrypoints
from triune.core.reads.watched import Watched
from triune.core.workspace import Workspace
from triune.models.tracking.frames import Reads
from triune.models.tracking.session import Run, start
from triune.models.training import features
from triune.models.training.context import TrainingContext
from triune.models.training.spec import TrainingSpec

_PR_SET_PDEATHSIG = 1


def main() -> int:
    """Run one training; 0 when it finished. Its end is in the run's journal either way."""
    _die_with_parent()
    watched = Watched.begin(socket.socket(fileno=int(sys.argv[1]))) if sys.argv[1:] else None
    spec = msgspec.json.decode(sys.stdin.buffer.read(), type=TrainingSpec)
    run = start(
        spec.name,
        workspace=Workspace(Path(spec.root)),
        params=spec.params,
        tags=spec.tags,
        inputs=spec.inputs,
        details=spec.details,
        identifier=spec.run,
    )
    try:
        with run:
            try:
                _train(run, spec)
            finally:
                _keep_output(run, Path(spec.log))
                if watched is not None:
                    run.reads(msgspec.json.decode(watched.end(), type=Reads))
    except Exception:
        traceback.print_exc()
        return 1
    return 0


def _train(run: Run, spec: TrainingSpec) -> None:
    _seed(spec.seed)
    code = Path(spec.code)
    function = entrypoints.load(spec.function, code)
    views = {f.name: features.columns(f, code=code, cache=Path(spec.cache)) for f in spec.features}
    _seed(spec.seed)  # again: importing code and computing features may have drawn numbers
    function(
        TrainingContext(
            run=run,
            data=Path(spec.data),
            features=views,
            params=spec.params,
            seed=spec.seed,
            code=code,
            onnx=spec.onnx,
            purpose=inspect.getdoc(function) or "",
            joined=_joined(spec),
        )
    )


def _joined(spec: TrainingSpec) -> Any:
    """What joins the training's ``history``."""
    if spec.history is None:
        return None
    module, _, name = spec.history.join.partition(":")
    return getattr(importlib.import_module(module), name)(spec.history.sources)


def _seed(seed: int) -> None:
    import numpy as np

    random.seed(seed)
    np.random.seed(seed % 2**32)


def _keep_output(run: Run, log: Path) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    if log.is_file():
        run.artifact(shutil.copyfile(log, log.with_suffix(".copy")), "output.log")
        log.with_suffix(".copy").unlink()


def _die_with_parent() -> None:
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it died before the kernel was asked
        os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
