"""Training and registering in one go: what `triune train` and the loop do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from triune.app import features
from triune.app.context import Context
from triune.ledger.lineage import Gap
from triune.models.registry.model import ModelVersion
from triune.models.tracking.model import RunRecord, Value
from triune.models.training.process import OnProgress
from triune.models.training.saving import MODEL
from triune.models.training.service import Trainer


@dataclass(frozen=True, slots=True)
class Trained:
    """A finished run, the model version made of it, if one was, and what is not known of its
    ancestry."""

    run: RunRecord
    version: ModelVersion | None
    gaps: tuple[Gap, ...] = ()


def train(
    context: Context,
    name: str,
    *,
    params: Mapping[str, Value] | None = None,
    seed: int | None = None,
    register: bool = True,
    on_progress: OnProgress | None = None,
) -> Trained:
    """Run ``[trainings.<name>]``; register its model unless told not to, or it keeps none.

    Nothing trains on data that do not meet their expectations.

    Raises what `Expectations.require`, `Trainer.train` and `Registry.register` raise.
    """
    table = context.workspace.config.trainings.get(name)
    if table is not None:
        context.expectations.require(table.dataset)
    histories = partial(features.history_spec, context)
    trainer = Trainer(context.workspace, context.ledger, context.data, histories)
    run = trainer.train(name, params=params, seed=seed, on_progress=on_progress)
    gaps = context.ledger.missing(run.ref)
    if not register or MODEL not in run.artifacts:
        return Trained(run, None, gaps)
    return Trained(run, context.registry.register(run.id), gaps)
