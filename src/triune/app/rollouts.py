"""Plugs delivery together: the gateway, the supervisor, the registry and the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from triune.app import features
from triune.app.serving_arms import ModelExamples, ServingArms, WorkspaceTests, samples_of
from triune.core.clock import SystemClock
from triune.core.errors import Unavailable
from triune.core.process import ProcessSpec
from triune.core.workspace import Workspace
from triune.delivery.gateway.backends import envoy_bootstrap
from triune.delivery.gateway.backends.envoy import EnvoyGateway
from triune.delivery.moves import Observer, Tools, silent
from triune.delivery.ports import ModelVersion
from triune.delivery.releases import Releases
from triune.delivery.rollout import history
from triune.delivery.rollout import watches as watching
from triune.delivery.rollout.conductor import Conductor
from triune.delivery.rollout.model import Definition, Record
from triune.delivery.rollout.service import Rollouts
from triune.delivery.rollout.store import RecordStore
from triune.delivery.rollout.watches import Watches
from triune.delivery.routing import Routing
from triune.delivery.service import Delivery
from triune.delivery.store import EndpointStore

if TYPE_CHECKING:
    from triune.app.context import Context
    from triune.models.registry.service import Registry

GATEWAY = "envoy"
GATEWAY_ADMIN = "envoy.admin"


def gateway_folder(workspace: Workspace) -> Path:
    """Where the gateway's configuration and access log lie."""
    return workspace.engine(GATEWAY)


def gateway(context: Context) -> EnvoyGateway:
    """The workspace's gateway."""
    return EnvoyGateway(gateway_folder(context.workspace), context.addresses.port(GATEWAY_ADMIN))


def gateway_process(context: Context) -> ProcessSpec:
    """Write the gateway's configuration and say how to run it. Its table is kept."""
    return envoy_bootstrap.process(
        gateway_folder(context.workspace),
        context.addresses.port(GATEWAY_ADMIN),
        context.addresses.port(GATEWAY),
    )


def delivery(context: Context) -> Delivery:
    """Releases, rollouts and rollbacks of a workspace."""
    workspace, ledger = context.workspace, context.ledger
    models = RegisteredModels(context.registry)

    def missing(ref: str) -> Sequence[str]:
        return [f"{gap.ref}: {gap.what}" for gap in ledger.missing(ref)]

    releases = Releases(
        workspace, ledger, models, missing, lambda asked: features.pinned(context, asked)
    )
    store = EndpointStore(workspace.state / "endpoints")
    return Delivery(
        Tools(
            workspace=workspace,
            store=store,
            routing=Routing(store, gateway(context)),
            processes=context.supervisor,
            arms=ServingArms(
                workspace,
                releases,
                context.registry.public_key,
                lambda online: features.online_spec(context, online),
            ),
            port_of=context.addresses.port,
            releases=releases,
            log=ledger,
            own_tests=WorkspaceTests(workspace),
            examples=ModelExamples(releases),
            clock=SystemClock(),
        )
    )


def conductor(context: Context, *, observe: Observer = silent) -> Conductor:
    """The stages of a workspace's rollouts."""
    tools = context.delivery.tools
    return Conductor(
        tools, RecordStore(context.workspace.state / "rollouts"), Prior(tools), observe
    )


def watches(context: Context, taken: Conductor) -> Watches:
    """The watches of the phases that last."""
    return watching.of(taken, lambda arm: samples_of(context.workspace, arm))


def use_cases(context: Context) -> Rollouts:
    """Rollouts as commands use them."""
    return Rollouts(conductor(context))


@dataclass(frozen=True)
class Prior:
    """`triune.delivery.rollout.conductor.Prior` from the ledger.

    Without the ledger the definition's own phi holds: a rollout does not wait for it.
    """

    tools: Tools

    def __call__(self, record: Record) -> Definition:
        log, before = self.tools.log, record.started
        try:
            seen = history.answers(log, record.endpoint, now=before, release=record.stable)
        except Unavailable:
            seen = []
        return history.prior(record.definition, seen)


@dataclass(frozen=True)
class RegisteredModels:
    """`triune.delivery.ports.Models` by the registry."""

    registry: Registry

    def resolve(self, name: str) -> ModelVersion:
        found = self.registry.get(name.removeprefix("model:"))
        return ModelVersion(found.ref, found.digest, found.folder)

    def verify(self, version: ModelVersion) -> None:
        self.registry.verify(version.ref.removeprefix("model:"))
