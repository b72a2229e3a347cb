"""Where endpoints and their rollouts stand, from files alone: no gateway, no database, no Temporal
needs to run for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from triune.core.config import slug
from triune.core.workspace import Workspace
from triune.delivery.releases import settings
from triune.delivery.service import EndpointStatus, endpoint_status
from triune.delivery.state import EndpointState
from triune.delivery.store import EndpointStore

if TYPE_CHECKING:
    from triune.delivery.rollout.view import RolloutView


@dataclass(frozen=True, slots=True)
class Standing:
    """An endpoint, and its latest rollout; None before the first."""

    status: EndpointStatus
    rollout: RolloutView | None


def standing(workspace: Workspace, endpoint: str = "") -> list[Standing]:
    """Every endpoint that is declared or was ever released to, by name; or only this one.

    Raises
    ------
    NotFound: (``endpoint-not-declared``) there is no such endpoint.
    """
    store = EndpointStore(workspace.state / "endpoints")
    if endpoint:
        now = store.load(endpoint)
        if now == EndpointState(endpoint):
            settings(workspace, endpoint)
        return [_standing(workspace, now)]
    states = {now.endpoint: now for now in store.all()}
    for name in workspace.config.endpoints:
        states.setdefault(name, EndpointState(name))
    return list(_all(workspace, states))


def _all(workspace: Workspace, states: dict[str, EndpointState]) -> Iterator[Standing]:
    for name in sorted(states):
        yield _standing(workspace, states[name])


def _standing(workspace: Workspace, now: EndpointState) -> Standing:
    return Standing(endpoint_status(now), _rollout(workspace, now))


def _rollout(workspace: Workspace, now: EndpointState) -> RolloutView | None:
    """The numerics are imported only where there has been a rollout."""
    folder = workspace.state / "rollouts"
    if not (folder / f"{slug(now.endpoint)}.json").exists():
        return None
    from triune.delivery.rollout.store import RecordStore
    from triune.delivery.rollout.view import view

    records = RecordStore(folder)
    record = records.load(now.endpoint)
    return view(record, now, records.gates(now.endpoint, record.rollout)) if record else None
