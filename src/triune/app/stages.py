"""What a stage read, told apart as a training's reads are."""

from __future__ import annotations

from triune.app.context import Context
from triune.data.pipelines.ports import Ran, Told
from triune.models.tracking.events import told
from triune.models.training.reads import Declared, Sorter


def sort(context: Context, ran: Ran) -> Told:
    """The reads of a stage that ran; ``outside`` of ``[stages.<name>]`` excuses some."""
    table = context.workspace.config.stages.get(ran.stage)
    declared = Declared(
        own=ran.own,
        given=ran.given,
        refs=ran.refs,
        outside=() if table is None else table.outside,
    )
    reads = Sorter(context.workspace, context.data, declared).sort(ran.seen)
    return Told(tuple(reads.inputs), told(reads))
