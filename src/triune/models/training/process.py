"""Running a prepared training in a process of its own, watched through its run's journal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from triune.core.errors import TriuneError
from triune.core.reads.model import Seen
from triune.core.reads.watcher import Watcher
from triune.core.workspace import Workspace
from triune.models.tracking import journal
from triune.models.tracking.folders import RunFolders
from triune.models.tracking.frames import Reads
from triune.models.tracking.model import Folding, RunRecord
from triune.models.training.spec import TrainingSpec

LOOK_SECONDS = 0.1
STOP_SECONDS = 10.0
LOG_TAIL_LINES = 15

OnProgress = Callable[[RunRecord], None]


def execute(
    spec: TrainingSpec,
    on_progress: OnProgress | None = None,
    *,
    sort: Callable[[Seen], Reads] | None = None,
) -> None:
    """Run a prepared training in a child process and wait for it.

    With ``sort``, everything that the child and its children read is watched, and what ``sort``
    makes of it is recorded with the run.

    Raises
    ------
    TriuneError: (``training-failed``) with the end of what it printed.
    """
    log = Path(spec.log)
    log.parent.mkdir(parents=True, exist_ok=True)
    watcher = None if sort is None else Watcher(lambda seen: msgspec.json.encode(sort(seen)))
    channel = () if watcher is None else (watcher.theirs.fileno(),)
    with log.open("wb") as output:
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "triune.models.training", *map(str, channel)],
            pass_fds=channel,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=spec.root,
            env={**os.environ, **_settings(spec)},
        )
    if watcher is not None:
        watcher.start()
    try:
        _feed(child, msgspec.json.encode(spec))
        _watch(child, RunFolders(Workspace(Path(spec.root))).journal(spec.run), on_progress)
    except BaseException:
        _stop(child)
        raise
    if child.returncode != 0:
        raise _failure(spec, child.returncode, log)
    log.unlink(missing_ok=True)  # the run keeps a copy as its artifact output.log


def _settings(spec: TrainingSpec) -> dict[str, str]:
    """Environment that must be set before the interpreter starts for equal bits."""
    threads = str(spec.threads)
    return {
        "PYTHONHASHSEED": str(spec.seed % 2**32),
        "OMP_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "NUMEXPR_NUM_THREADS": threads,
        "MPLBACKEND": "Agg",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "ORT_DISABLE_TELEMETRY": "1",
    }


def _feed(child: subprocess.Popen[bytes], data: bytes) -> None:
    if child.stdin is None:
        raise ValueError("the child has no standard input")
    try:
        child.stdin.write(data)
        child.stdin.close()
    except BrokenPipeError:
        child.wait()  # it died at once; its output says why


def _watch(child: subprocess.Popen[bytes], path: Path, on_progress: OnProgress | None) -> None:
    folding, offset = Folding(), 0
    while True:
        with suppress(subprocess.TimeoutExpired):
            child.wait(LOOK_SECONDS if on_progress else None)
        if on_progress and path.is_file():
            before = offset
            for frame, offset in journal.read(path, before):  # noqa: B007  # kept for the next look
                folding.take(frame)
            record = folding.record()
            if record is not None and offset > before:
                on_progress(record)
        if child.returncode is not None:
            return


def _stop(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is None:
        child.send_signal(signal.SIGINT)
    try:
        child.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _failure(spec: TrainingSpec, code: int, log: Path) -> TriuneError:
    lines = log.read_text(errors="replace").rstrip().splitlines()
    how = f"ended by signal {-code}" if code < 0 else f"exit status {code}"
    reason = lines[-1] if lines and code > 0 else how
    return TriuneError(
        "training-failed",
        f"training {spec.name!r} failed: {reason}",
        context="\n".join(lines[-LOG_TAIL_LINES:]) or str(log),
        hint=f"The whole output is in {log}; the run is {spec.run}.",
    )
