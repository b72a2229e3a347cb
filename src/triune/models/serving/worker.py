"""A worker process: loads the checked snapshot and answers until told to stop."""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from triune.core.errors import ExitCode, Refused, TriuneError
from triune.core.ids import digest_tree
from triune.models.serving import loading
from triune.models.serving.application import Application
from triune.models.serving.board import Board
from triune.models.serving.engine import Bound, Engine
from triune.models.serving.filling import Filler, lookup, optional
from triune.models.serving.lifeline import follow
from triune.models.serving.ports import Model
from triune.models.serving.protocol.contract import Contract, effective
from triune.models.serving.spec import ServingSpec
from triune.models.serving.tensors import SINGLE_PRECISION

log = logging.getLogger("triune.serving")


@dataclass(frozen=True, slots=True)
class Snapshots:
    """Where the parent put the checked copies of the models."""

    model: Path
    fallback: Path | None


def application(spec: ServingSpec, snapshots: Snapshots, board: Board) -> Application:
    """Build the application in this worker; ends the whole server when it cannot.

    Called by granian in the freshly forked process.
    """
    follow(os.getppid(), board.door, spec.port, spec.drain_seconds)
    try:
        return build(spec, snapshots, board)
    except TriuneError as error:
        log.error("error[%s]: %s (%s)", error.reference, error.message, error.context)  # noqa: TRY400
        code = int(error.exit_code)
    except Exception:
        log.exception("error[model-not-loadable]: the model could not be loaded")
        code = int(ExitCode.INTERNAL)
    board.fail(code)
    os.kill(os.getppid(), signal.SIGTERM)
    sys.exit(code)


def build(spec: ServingSpec, snapshots: Snapshots, board: Board) -> Application:
    """The application over the models in the snapshots.

    Raises
    ------
    Refused: (``model-tampered``) a snapshot is not what the parent checked;
        (``model-does-not-fit``) a model needs what the endpoint does not declare.
    """
    single_threaded()
    primary = _load(snapshots.model, spec.model.digest)
    fallback = None
    if snapshots.fallback is not None and spec.fallback is not None:
        fallback = _load(snapshots.fallback, spec.fallback.digest)
    contract = _contract(spec, primary, fallback)
    bound = Bound(primary, contract)
    seconds = loading.warm(bound, contract)
    engine = Engine(
        bound,
        Bound(fallback, contract) if fallback is not None else None,
        deadline_ms=spec.deadline_ms,
        inline=seconds <= loading.INLINE_SECONDS,
        max_pending=spec.max_pending,
    )
    if engine.fallback is not None:
        loading.warm(engine.fallback, contract)
    log.info(
        "serving %s as %s, form %s, %.0f us a row%s",
        spec.model.ref,
        spec.release,
        primary.form,
        seconds * 1e6,
        "" if engine.inline else ", on a thread",
    )
    engine.share_interpreter()
    gc.collect()
    gc.freeze()  # libraries and model live as long as the worker: never look at them again
    filler = None
    if spec.online is not None:
        filler = Filler(contract, spec.online, lookup(spec.online))
    return Application(spec, contract, engine, board.take_row(), filler)


def _load(folder: Path, digest: str) -> Model:
    if digest_tree(folder, leave_out=["model.sig"]) != digest:
        raise Refused(
            "model-tampered",
            "the snapshot changed after it was checked",
            context=str(folder),
            hint="Find out who writes there; then start the server again.",
        )
    return loading.load(folder)


def _contract(spec: ServingSpec, primary: Model, fallback: Model | None) -> Contract:
    declared, problems = effective(spec.inputs, primary.inputs)
    if fallback is not None:
        problems = problems + effective(declared, fallback.inputs)[1]
    if problems:
        raise Refused(
            "model-does-not-fit",
            f"the endpoint cannot feed the model: {'; '.join(problems)}",
            context=spec.endpoint,
            hint="Declare the inputs under [[endpoints.<name>.inputs]] in triune.toml.",
        )
    models = [primary] if fallback is None else [primary, fallback]
    largest = min((model.largest for model in models), default=SINGLE_PRECISION)
    places = {one.name: place for place, one in enumerate(declared)}
    return Contract(
        declared,
        layout=primary.layout,
        max_rows=spec.max_rows,
        largest=largest,
        optional=optional(spec.online, places),
    )


def single_threaded() -> None:
    """Numeric libraries loaded from now on use one thread: workers are the parallelism."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
