"""The use case "train": records what goes in, runs the training in a process of its own,
watches it, and records what came out."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from triune.core.config import TrainingTable
from triune.core.errors import NotFound, Refused
from triune.core.ids import new_id
from triune.core.workspace import Workspace
from triune.ledger.envelope import Event
from triune.ledger.service import Ledger
from triune.models import environment, provenance
from triune.models.ports import Datasets, DatasetVersion
from triune.models.tracking.catalog import RunCatalog
from triune.models.tracking.events import WATCHED
from triune.models.tracking.folders import RunFolders
from triune.models.tracking.model import RunRecord, Value
from triune.models.training import features
from triune.models.training.process import OnProgress, execute
from triune.models.training.reads import Declared, Sorter
from triune.models.training.spec import (
    FEATURES_ROLE,
    HISTORY_ROLE,
    FeatureSpec,
    Histories,
    HistorySpec,
    TrainingSpec,
)


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
    histories: Histories | None = None

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
            execute(prepared.spec, on_progress, sort=self._sorter(name, prepared.spec).sort)
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
        history = self._history(table)
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
                *((ref, HISTORY_ROLE) for ref in (history.refs if history else ())),
                (commit.ref, "commit"),
                (software.ref, "environment"),
            ),
            details={
                "training": name,
                "model": table.model,
                "seed": str(chosen),
                "threads": str(pinned),
                "lock": lock or "",
                WATCHED: "reads",
            },
            tags={},
            history=history,
        )
        return Prepared(spec, tuple(events))

    def _sorter(self, name: str, spec: TrainingSpec) -> Sorter:
        declared = Declared(
            own=(self.workspace.runs / spec.run, spec.cache, spec.log),
            given=(spec.data, *(view.data for view in spec.features)),
            refs=frozenset(ref for ref, _ in spec.inputs),
            outside=self._table(name).outside,
        )
        return Sorter(self.workspace, self.datasets, declared)

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

    def _history(self, table: TrainingTable) -> HistorySpec | None:
        if not table.history or self.histories is None:
            return None
        return self.histories(table.history)

    def _view(self, name: str, used: DatasetVersion, used_name: str) -> tuple[FeatureSpec, str]:
        table = self.workspace.config.features[name]
        same = table.dataset == used_name
        dataset = used if same else self.datasets.current(table.dataset)
        return features.specify(name, table, dataset, self.workspace), dataset.ref


def _merged(table: TrainingTable, overrides: Mapping[str, Value]) -> dict[str, Value]:
    unknown = sorted(overrides.keys() - table.params.keys())
    if unknown:
        raise Refused(
            "param-unknown",
            f"the training has no parameter {', '.join(unknown)}",
            hint="Known: " + (", ".join(sorted(table.params)) or "none"),
        )
    return {**table.params, **overrides}
