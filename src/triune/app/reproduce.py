"""Doing a run again from its records: code, data, settings and seed as they were, and a verdict."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from triune.app import features as made
from triune.app.context import Context
from triune.core.config import TrainingTable
from triune.core.errors import Refused, TriuneError
from triune.core.files import read_json
from triune.core.ids import digest_bytes, digest_file, key_of, kind_of, new_id
from triune.core.workspace import Workspace
from triune.ledger.envelope import event
from triune.ledger.ports import Query
from triune.models import environment, worktree
from triune.models.environment import Difference, Environment
from triune.models.reproduce import Finding, Judgement, Outcome, Verdict, judge
from triune.models.tracking import journal
from triune.models.tracking.folders import RunFolders
from triune.models.tracking.model import RunRecord, RunStatus, histories
from triune.models.training import features
from triune.models.training.process import OnProgress, execute
from triune.models.training.saving import ANSWERS, MODEL
from triune.models.training.spec import (
    FEATURES_ROLE,
    HISTORY_ROLE,
    READ_ROLE,
    FeatureSpec,
    HistorySpec,
    TrainingSpec,
)

VOLATILE = ("model_uuid", "utc_time_created", "model_id", "run_id")
"""Keys of an MLmodel file that change each time a model is written."""

OnStep = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Reproduced:
    """What came of doing a run again. ``rerun_seconds`` is the training alone."""

    run: str
    verdict: Verdict
    compared: tuple[str, ...]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    environment: tuple[Difference, ...]
    seconds: float
    rerun_seconds: float
    tolerance: float


@dataclass(frozen=True, slots=True)
class _Checked:
    """A dataset version checked out: what a feature view's version is computed from."""

    ref: str
    digest: str
    path: Path


def reproduce(
    context: Context,
    name: str,
    *,
    tolerance: float = 0.0,
    on_step: OnStep = lambda _: None,
    on_progress: OnProgress | None = None,
) -> Reproduced:
    """Run a training run again and compare; the verdict is an event too.

    The code comes from the run's commit (with the difference kept of a dirty tree), the data
    from its dataset version, features are computed anew, seed, parameters and threads are the
    run's own. The environment is this one; how it differs from the run's is part of the result.

    Raises
    ------
    NotFound: ``run-not-found``, ``commit-gone``, ``dataset-content-missing``.
    Refused: ``run-not-reproducible``: it did not finish, or was not made by a training.
    """
    begin = time.monotonic()
    record = context.runs.get(name)
    _check(record)
    space = context.workspace
    on_step("comparing the environment")
    changed = _environment(context, record)
    commit = record.input("commit") or ""
    on_step(f"checking out {commit}")
    with worktree.checkout(
        space.root,
        key_of(commit),
        commits=space.state / "commits",
        scratch=space.home / "reproduce",
    ) as root:
        copy = Workspace(root)
        on_step("checking out the data")
        spec = _spec(context, record, copy)
        on_step("training again")
        started = time.monotonic()
        judgement = _judged(context, record, spec, tolerance, on_progress)
        rerun_seconds = time.monotonic() - started
    done = Reproduced(
        run=record.ref,
        verdict=judgement.verdict,
        compared=judgement.compared,
        findings=judgement.findings,
        notes=judgement.notes,
        environment=tuple(changed),
        seconds=time.monotonic() - begin,
        rerun_seconds=rerun_seconds,
        tolerance=tolerance,
    )
    context.ledger.record([_event(context, done)])
    return done


def _check(record: RunRecord) -> None:
    if record.status is not RunStatus.FINISHED:
        why = f"it is {record.status}"
    elif "training" not in record.details or record.input("commit") is None:
        why = "it was not made by `triune train`, so nothing says how to make it again"
    else:
        return
    raise Refused(
        "run-not-reproducible",
        f"the run cannot be done again: {why}",
        context=record.ref,
        hint="Choose a finished run of a training; list them with `triune runs`.",
    )


def _environment(context: Context, record: RunRecord) -> list[Difference]:
    """How this environment differs from the one the ledger says the run had."""
    told = context.ledger.select(
        Query(kind="environment.recorded", subject=record.input("environment"), limit=1)
    )
    fact = next((stored.event.payload for stored in told), None)
    now = environment.remembered(context.workspace.state / "environment.json")
    if fact is None:
        return [Difference("the run's environment", None, "was not recorded here")]
    return environment.differences(
        Environment(fact["python"], fact["platform"], fact["packages"]), now
    )


def _spec(context: Context, record: RunRecord, copy: Workspace) -> TrainingSpec:
    """The run's training, in the checkout."""
    name = record.details["training"]
    table = copy.config.trainings[name]
    dataset = _checked_out(context, record.input("dataset") or "", copy)
    views = tuple(
        _view(context, ref, copy, dataset) for ref, role in record.inputs if role == FEATURES_ROLE
    )
    root, run = copy.root.resolve(), new_id()
    _put_in_place(context, record, copy, dataset)
    return TrainingSpec(
        run=run,
        name=name,
        root=str(root),
        code=str(root / copy.config.workspace.code),
        function=table.function,
        model=table.model,
        data=str(dataset.path),
        features=views,
        cache=str(copy.home / "cache" / "features"),
        log=str(copy.logs / f"train-{run}.log"),
        params={key: record.params[key] for key in table.params if key in record.params},
        seed=int(record.details["seed"]),
        threads=int(record.details["threads"]),
        inputs=(),
        details={},
        tags={},
        onnx=False,
        history=_history(context, record, table, root),
    )


def _put_in_place(context: Context, record: RunRecord, copy: Workspace, used: _Checked) -> None:
    """Let every dataset that the run read lie where the workspace has it."""
    others = [ref for ref, role in record.inputs if role == READ_ROLE and kind_of(ref) == "dataset"]
    for one in [used, *(_checked_out(context, ref, copy) for ref in others)]:
        table = copy.config.datasets.get(key_of(one.ref).partition("@")[0])
        place = copy.root / table.path if table is not None else None
        if place is not None and not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(one.path.resolve())


def _history(
    context: Context, record: RunRecord, table: TrainingTable, root: Path
) -> HistorySpec | None:
    refs = [ref for ref, role in record.inputs if role == HISTORY_ROLE]
    if not refs:
        return None
    pairs = (key_of(ref).split("@") for ref in refs)
    pinned = {name: context.features.catalog.version(name, version) for name, version in pairs}
    return made.history_spec(context, table.history, root=root, pinned=pinned)


def _checked_out(context: Context, ref: str, copy: Workspace) -> _Checked:
    folder = copy.home / "data" / ref.replace(":", "-")
    path = context.data.checkout(ref, folder)
    return _Checked(ref, context.data.find(ref).digest, path)


def _view(context: Context, ref: str, copy: Workspace, used: _Checked) -> FeatureSpec:
    name, _, key = key_of(ref).partition("@")
    table = copy.config.features[name]
    same = key_of(used.ref).partition("@")[0] == table.dataset
    made = context.ledger.parents([ref])
    other = next((e.parent for e in made if e.role == "dataset"), used.ref)
    dataset = used if same else _checked_out(context, other, copy)
    spec = features.specify(name, table, dataset, copy)
    if spec.key != key:
        raise Refused(
            "run-not-reproducible",
            f"feature view {name!r} is {spec.ref} in the checkout, the run used {ref}",
            hint="Its code was changed while the run was starting; run the training again.",
        )
    return spec


def _judged(
    context: Context,
    record: RunRecord,
    spec: TrainingSpec,
    tolerance: float,
    on_progress: OnProgress | None,
) -> Judgement:
    try:
        execute(spec, on_progress)
    except TriuneError as error:
        if error.reference != "training-failed":
            raise
        finding = Finding("training", f"failed this time: {error.message}")
        return Judgement(Verdict.DIFFERENT, (), (finding,), ())
    before = _outcome(RunFolders(context.workspace), record.id)
    now = _outcome(RunFolders(Workspace(Path(spec.root))), spec.run)
    return judge(before, now, tolerance=tolerance)


def _outcome(folders: RunFolders, identifier: str) -> Outcome:
    frames = (frame for frame, _ in journal.read(folders.journal(identifier)))
    artifacts = folders.artifacts(identifier)
    answers = read_json(artifacts / ANSWERS)
    return Outcome(
        history=histories(frames),
        answers=answers["answers"] if answers else None,
        files=_digests(artifacts / MODEL),
    )


def _digests(model: Path) -> Mapping[str, str]:
    """The model's files by digest; of MLmodel without what changes at every writing."""
    found = {}
    for path in sorted(model.rglob("*")):
        if path.is_file():
            stable = path.name == "MLmodel"
            name = path.relative_to(model).as_posix()
            found[name] = _stable_digest(path) if stable else digest_file(path)
    return found


def _stable_digest(path: Path) -> str:
    lines = path.read_text(encoding="utf-8").splitlines()
    return digest_bytes("\n".join(line for line in lines if not line.startswith(VOLATILE)).encode())


def _event(context: Context, done: Reproduced) -> Any:
    payload = {
        "verdict": done.verdict.value,
        "compared": list(done.compared),
        "findings": [asdict(finding) for finding in done.findings],
        "environment": [asdict(difference) for difference in done.environment],
        "tolerance": done.tolerance,
        "seconds": round(done.seconds, 3),
    }
    return event("run.reproduced", done.run, workspace=context.workspace.name, payload=payload)
