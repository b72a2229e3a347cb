"""Flows with their parts plugged: datasets, expectations, stages, features."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from triune.core.config import Profile
from triune.core.flow_config import FlowTable
from triune.data.expect.service import refuse
from triune.data.flows.model import Part
from triune.data.flows.service import Flows

if TYPE_CHECKING:
    from triune.app.context import Context

ALL = "*"


def use_cases(context: Context) -> Flows:
    """The flows of a workspace; in profile ``server`` its Prefect server sees them."""
    prefect = context.addresses.profile is not Profile.LOCAL
    if prefect:
        os.environ["PREFECT_API_URL"] = context.addresses.prefect_api
        os.environ.setdefault("PREFECT_HOME", str(context.workspace.engine("prefect")))
        os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    return Flows(
        context.workspace, context.ledger, lambda table: parts(context, table), prefect=prefect
    )


def parts(context: Context, table: FlowTable) -> Sequence[Part]:
    """What a flow does, in order: build, check, stages, materialize."""
    found = [Part(f"build {name}", partial(_build, context, name)) for name in table.build]
    found += [Part(f"check {name}", partial(_check, context, name)) for name in table.check]
    if table.stages:
        found.append(Part("stages", partial(_stages, context)))
    if table.materialize:
        found.append(Part("materialize", partial(_materialize, context, table.materialize)))
    return found


def _build(context: Context, name: str) -> str:
    if context.data.buildable(name):
        context.data.build(name)
    return context.data.add(name).ref


def _check(context: Context, name: str) -> str:
    checked = context.expectations.check(name)
    refuse(checked)
    return f"{checked.rows} rows"


def _stages(context: Context) -> str:
    results = context.pipelines.run()
    return ", ".join(f"{one.name} {one.state.value}" for one in results)


def _materialize(context: Context, names: Sequence[str]) -> str:
    done = context.features.materialize(() if ALL in names else names)
    return ", ".join(f"{one.view}: {one.entities} entities" for one in done)
