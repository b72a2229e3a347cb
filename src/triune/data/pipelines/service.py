"""The use cases of pipelines: run what changed, and say how each stage stands."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from triune.core.files import locked
from triune.core.reads.model import Seen
from triune.core.workspace import Workspace
from triune.data.backends.dvc_stages import STATES, DvcStages, Stage
from triune.data.features.ports import Commits, Located, Log
from triune.data.pipelines import command, events
from triune.data.pipelines.model import Facts, StageResult, StageState
from triune.data.pipelines.ports import Ran, Sort, Told
from triune.data.pipelines.scratch import keep, place_of, scratch, settle
from triune.data.service import Data
from triune.ledger.ports import Query
from triune.ledger.reading import unseen

OnStage = Callable[[StageResult], None]


def _silent(_: StageResult) -> None:
    """For callers that do not watch."""


class Pipelines:
    """The stages of one workspace."""

    def __init__(
        self,
        workspace: Workspace,
        log: Log,
        data: Data,
        stages: DvcStages,
        *,
        commit: Commits,
        locate: Located,
        sort: Sort,
    ) -> None:
        self._workspace = workspace
        self._log = log
        self._data = data
        self._stages = stages
        self._commit = commit
        self._locate = locate
        self._sort = sort
        self._root = workspace.root.resolve()

    def status(self, names: Sequence[str] = ()) -> list[StageResult]:
        """How each stage stands, with what would make it run."""
        with self._stages.stages(names) as stages:
            return [self._stands(stage) for stage in stages]

    def run(
        self,
        names: Sequence[str] = (),
        *,
        force: bool = False,
        dry_run: bool = False,
        on_stage: OnStage = _silent,
    ) -> list[StageResult]:
        """Run the stages whose inputs, command or outputs changed, in their order.

        An output takes the place of the old one in one step when its stage is done: killed at
        any line, each output in the workspace is whole, the old one or the new, and the next call
        goes on. Outputs that are declared datasets become versions of them.

        Raises
        ------
        NotFound: ``pipeline-missing``, ``stage-unknown``.
        TriuneError: ``stage-failed`` (later stages are not run), ``dvc-failed``.
        Refused: ``stage-input-missing``, ``stage-output-missing``.
        Conflict: (``already-running``) another process runs stages here.
        """
        if dry_run:
            return self.status(names)
        results = []
        with (
            locked(self._workspace.state / "pipeline.lock", wait=False),
            self._stages.stages(names) as stages,
        ):
            for stage in stages:
                results.append(self._one(stage, force=force, on_stage=on_stage))
                on_stage(results[-1])
        return results

    def _stands(self, stage: Stage) -> StageResult:
        why = stage.changes()
        return StageResult(stage.name, STATES[bool(why)], why)

    def _one(self, stage: Stage, *, force: bool, on_stage: OnStage) -> StageResult:
        why = stage.changes() or (("it was asked for",) if force else ())
        if not why:
            return self._known(stage)
        on_stage(StageResult(stage.name, StageState.RUNNING, why))
        commit, begin = self._commit(), time.monotonic()
        state, seen = StageState.CACHED, None
        if force or not stage.restore():
            state, seen = StageState.RAN, self._execute(stage)
            stage.record()
        seconds = time.monotonic() - begin
        facts = stage.facts()
        inputs = [ref for dep in facts.deps if (ref := self._locate(self._root / dep.path))]
        told = events.finished(
            facts,
            state=state,
            why=why,
            seconds=seconds,
            inputs=inputs,
            reads=self._known_reads(facts) if seen is None else self._reads(stage, seen, inputs),
            commit=commit.subject,
            workspace=self._workspace.name,
        )
        self._log.record([commit, told])
        versions = self._versions(stage, told.subject)
        gaps = tuple(unseen(told))
        return StageResult(stage.name, state, why, seconds, told.subject, facts, versions, gaps)

    def _reads(self, stage: Stage, seen: Seen, inputs: Sequence[str]) -> Told:
        """What it read besides its inputs."""
        own = (self._place(stage), self._log_of(stage), *(self._root / out for out in stage.outs()))
        given = tuple(self._root / path for path in stage.inputs())
        return self._sort(Ran(stage.name, seen, own, given, frozenset(inputs)))

    def _known_reads(self, facts: Facts) -> Told | None:
        """What was seen when it ran, as its outputs come from there; None when that is not known
        here."""
        query = Query(subject=events.ref_of(facts), kind=events.FINISHED, newest_first=True)
        for stored in self._log.select(query):
            if "reads" in stored.event.payload:
                return events.reads_of(stored.event)
        return None

    def _known(self, stage: Stage) -> StageResult:
        """A stage with nothing to do; a version that a killed run could not record is recorded."""
        facts = stage.facts()
        ref = events.ref_of(facts)
        versions = self._versions(stage, ref)
        return StageResult(stage.name, StageState.UNCHANGED, (), 0.0, ref, facts, versions)

    def _place(self, stage: Stage) -> Path:
        return place_of(self._workspace.home.resolve() / "stages", stage.name)

    def _log_of(self, stage: Stage) -> Path:
        return self._workspace.logs / f"stage-{stage.name.replace('/', '-')}.log"

    def _execute(self, stage: Stage) -> Seen:
        outs, kept = stage.outs(), stage.outs(persist=True)
        log = self._log_of(stage)
        settings = command.environment(self._root, self._workspace.config.workspace.code)
        with scratch(self._root, self._place(stage), outs) as place:
            for out in outs:
                (place / out).parent.mkdir(parents=True, exist_ok=True)
            keep(place, self._root, kept)
            seen = command.run(stage.name, stage.commands, place / stage.folder, log, settings)
            settle(place, self._root, outs, stage.name)
        return seen

    def _versions(self, stage: Stage, ref: str) -> tuple[str, ...]:
        """Outputs that are declared datasets, recorded as versions made by this stage."""
        paths = {self._root / out for out in stage.outs()}
        names = [n for n in self._data.names() if _resolved(self._data.path(n)) in paths]
        return tuple(self._data.add(name, made_by=ref).ref for name in names)


def _resolved(path: Path) -> Path:
    return path.parent.resolve() / path.name
