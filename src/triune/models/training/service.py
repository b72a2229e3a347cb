"""The use case "train": records what goes in, runs the training in a process of its own,
watches it, and records what came out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from triune.core.config import TrainingTable
from triune.core.errors import NotFound, Refused, TriuneError
from triune.core.ids import new_id
from triune.core.workspace import Workspace
from triune.ledger.envelope import Event
from triune.ledger.service import Ledger
from triune.models import environment, provenance
from triune.models.ports import Datasets, DatasetVersion
from triune.models.tracking import journal
from triune.models.tracking.catalog import RunCatalog
from triune.models.tracking.folders import RunFolders
from triune.models.tracking.model import Folding, RunRecord, Value
from triune.models.training import features
from triune.models.training.spec import FEATURES_ROLE, FeatureSpec, TrainingSpec

LOOK_SECONDS = 0.1
STOP_SECONDS = 10.0
LOG_TAIL_LINES = 15

OnProgress = Callable[[RunRecord], None]


@dataclass(frozen=True)
class Prepared:
    """A training ready to run, and the events that must be in the ledger before it does."""

    spec: TrainingSpec
    events: tuple[Event, ...]


@dataclass(frozen=True)
class Trainer:
    """Runs the trainings of one workspace."""

    workspace: Workspace
    ledger: Ledger
    datasets: Datasets

    def train(
        self,
        name: str,
        *,
        params: Mapping[str, Value] | None = None,
        seed: int | None = None,
        threads: int | None = None,
        on_progress: OnProgress | None = None,
    ) -> RunRecord:
        """Run the training ``[trainings.<name>]`` to its end; its run, finished.

        ``params`` override those of the file; ``threads`` pins the numeric libraries, since
        the number of threads may change the last bits of a sum.

        Raises
        ------
        NotFound: ``training-unknown``.
        Refused: ``param-unknown``, ``commit-missing``, ``dataset-changed``.
        TriuneError: ``training-failed``, with the end of its output.
        """
        prepared = self.prepare(name, params=params or {}, seed=seed, threads=threads)
        self.ledger.record(prepared.events)
        catalog = RunCatalog(self.workspace, self.ledger)
        try:
            execute(prepared.spec, on_progress)
        finally:
            if RunFolders(self.workspace).journal(prepared.spec.run).is_file():
                catalog.tell(prepared.spec.run)
        return catalog.get(prepared.spec.run)

    def prepare(
        self, name: str, *, params: Mapping[str, Value], seed: int | None, threads: int | None
    ) -> Prepared:
        """Look at data, code and environment, and say exactly what would be run."""
        table = self._table(name)
        root, label = self.workspace.root, self.workspace.name
        dataset = self.datasets.current(table.dataset)
        commit = provenance.current(root)
        software = environment.remembered(self.workspace.state / "environment.json")
        lock = environment.lock_digest(root)
        views = [self._view(view, dataset, table.dataset) for view in table.features]
        events = [
            provenance.store(commit, self.workspace.state / "commits", workspace=label),
            environment.recorded(
                software, self.workspace.state / "environments", workspace=label, lock=lock
            ),
            *(
                features.defined(
                    view, ref, commit.ref, self.workspace.state / "features", workspace=label
                )
                for view, ref in views
            ),
        ]
        pinned = threads or min(4, os.cpu_count() or 1)
        chosen = table.seed if seed is None else seed
        run = new_id()
        spec = TrainingSpec(
            run=run,
            name=name,
            root=str(root.resolve()),
            code=str((root / self.workspace.config.workspace.code).resolve()),
            function=table.function,
            model=table.model,
            data=str(dataset.path),
            features=tuple(view for view, _ in views),
            cache=str(self.workspace.home / "cache" / "features"),
            log=str(self.workspace.logs / f"train-{run}.log"),
            params=_merged(table, params),
            seed=chosen,
            threads=pinned,
            inputs=(
                (dataset.ref, "dataset"),
                *((view.ref, FEATURES_ROLE) for view, _ in views),
                (commit.ref, "commit"),
                (software.ref, "environment"),
            ),
            details={
                "training": name,
                "model": table.model,
                "seed": str(chosen),
                "threads": str(pinned),
                "lock": lock or "",
            },
            tags={},
        )
        return Prepared(spec, tuple(events))

    def _table(self, name: str) -> TrainingTable:
        trainings = self.workspace.config.trainings
        if name not in trainings:
            raise NotFound(
                "training-unknown",
                f"there is no training {name!r}",
                context=str(self.workspace.root),
                hint="Known: " + (", ".join(sorted(trainings)) or "none; add [trainings.<name>]"),
            )
        return trainings[name]

    def _view(self, name: str, used: DatasetVersion, used_name: str) -> tuple[FeatureSpec, str]:
        table = self.workspace.config.features[name]
        same = table.dataset == used_name
        dataset = used if same else self.datasets.current(table.dataset)
        return features.specify(name, table, dataset, self.workspace), dataset.ref


def execute(spec: TrainingSpec, on_progress: OnProgress | None = None) -> None:
    """Run a prepared training in a child process and wait for it.

    Raises
    ------
    TriuneError: (``training-failed``) with the end of what it printed.
    """
    log = Path(spec.log)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "triune.models.training"],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=spec.root,
            env={**os.environ, **_settings(spec)},
        )
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


def _merged(table: TrainingTable, overrides: Mapping[str, Value]) -> dict[str, Value]:
    unknown = sorted(overrides.keys() - table.params.keys())
    if unknown:
        raise Refused(
            "param-unknown",
            f"the training has no parameter {', '.join(unknown)}",
            hint="Known: " + (", ".join(sorted(table.params)) or "none"),
        )
    return {**table.params, **overrides}
