"""What runs in each profile, and bringing it up and down with its events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from triune.app.context import Context
from triune.core.config import SERVICE_NAMES, Profile
from triune.core.errors import MissingEngine
from triune.core.process import ProcessSpec
from triune.core.workspace import Workspace
from triune.ledger.envelope import event
from triune.operations.services.addresses import S3, Addresses
from triune.operations.services.model import (
    OnProgress,
    Phase,
    ProcessStatus,
    Progress,
    Service,
    silent,
)

_OPTIONAL_IN_LOCAL = frozenset({"prometheus", "alertmanager"})


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to run, and what is left out and why."""

    services: tuple[Service, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Up:
    """What `up` did: every process as it is now, the names it started, what it left out."""

    statuses: tuple[ProcessStatus, ...]
    started: tuple[str, ...]
    notes: tuple[str, ...]


def gateway_folder(workspace: Workspace) -> Path:
    """Where the gateway's bootstrap, routes and access log lie."""
    return workspace.run_folder / "envoy"


def plan(ctx: Context) -> Plan:
    """The services of the profile in force, without those that ``triune.toml`` leaves out.

    Raises
    ------
    MissingEngine: (``engine-missing``) a service's program is not installed. In profile
    ``local`` Prometheus and Alertmanager are left out instead, with a note.
    """
    builders = _builders(ctx)
    tables = ctx.workspace.config.services
    services, notes = [], []
    for name, build in builders.items():
        if name in tables and not tables[name].enabled:
            notes.append(f"{name} is left out: enabled = false in triune.toml")
            continue
        try:
            services.append(build())
        except MissingEngine as error:
            if name not in _OPTIONAL_IN_LOCAL or ctx.addresses.profile is not Profile.LOCAL:
                raise
            notes.append(f"{name} is left out: {error.message}. {error.hint}")
    return Plan(tuple(services), tuple(notes))


def specs(ctx: Context) -> list[ProcessSpec]:
    """The process descriptions in `plan`."""
    return [service.spec for service in plan(ctx).services]


def up(ctx: Context, *, profile: Profile | None = None, on_progress: OnProgress = silent) -> Up:
    """Start the profile's services; those that run already are left alone.

    ``profile`` other than ``triune.toml``'s stays in force until the next `up` without it.
    Writes ``service.started`` for each that was started.

    Raises
    ------
    Unavailable: (``service-not-ready``) with the end of the service's log.
    MissingEngine: (``engine-missing``) before anything is started.
    Conflict: (``port-taken``) a port fixed in ``triune.toml`` is taken.
    """
    started: dict[str, float] = {}
    made: list[Plan] = []

    def watch(progress: Progress) -> None:
        if progress.phase is Phase.READY and progress.fresh:
            started[progress.name] = progress.seconds
        on_progress(progress)

    def prepare(running: frozenset[str]) -> Sequence[Service]:
        ctx.addresses.choose_profile(profile)
        ctx.addresses.settle_ports(running)
        made.append(plan(ctx))
        wanted = {service.name for service in made[0].services}
        for name in running & set(SERVICE_NAMES) - wanted:
            ctx.supervisor.remove(name)
        return made[0].services

    statuses = ctx.supervisor.up(prepare, watch)
    _record(ctx, "service.started", {name: {"seconds": round(s, 3)} for name, s in started.items()})
    return Up(statuses, tuple(sorted(started)), made[0].notes)


def down(ctx: Context, *, on_progress: OnProgress = silent) -> tuple[str, ...]:
    """Stop everything in reverse order; returns the names of what ran.

    Writes ``service.stopped`` for each; in profile ``server`` the ledger's database is among
    what stops, so the events wait in its journal for the next `up`.
    """
    names = tuple(status.name for status in ctx.supervisor.status())
    if names:
        _record(ctx, "service.stopped", {name: {} for name in names})
        ctx.close()
    return ctx.supervisor.down(on_progress)


def _record(ctx: Context, kind: str, payloads: dict[str, dict[str, float]]) -> None:
    events = [
        event(kind, f"service:{name}", workspace=ctx.workspace.name, payload=payload)
        for name, payload in payloads.items()
    ]
    if events:
        ctx.ledger.record(events)


def _builders(ctx: Context) -> dict[str, Callable[[], Service]]:
    """How to describe each service of the profile; nothing is looked for until called."""
    from triune.operations.services.engines import alertmanager, daemons, prometheus, temporal

    workspace, addresses = ctx.workspace, ctx.addresses
    builders: dict[str, Callable[[], Service]] = {
        "envoy": lambda: _gateway(workspace, addresses),
        "temporal": lambda: temporal.service(workspace, addresses),
        "prometheus": lambda: prometheus.service(workspace, addresses),
        "alertmanager": lambda: alertmanager.service(workspace, addresses),
        "ingest": lambda: daemons.service(workspace, "ingest"),
        "guard": lambda: daemons.service(workspace, "guard"),
        "tracker": lambda: daemons.service(workspace, "tracker"),
    }
    if addresses.s3 is not None:
        builders |= _server_builders(workspace, addresses, addresses.s3)
    return builders


def _server_builders(
    workspace: Workspace, addresses: Addresses, s3: S3
) -> dict[str, Callable[[], Service]]:
    from triune.operations.services.engines import mlflow, postgres, seaweedfs, valkey

    return {
        "postgres": lambda: postgres.service(workspace, addresses),
        "valkey": lambda: valkey.service(workspace, addresses),
        "seaweedfs": lambda: seaweedfs.service(workspace, addresses, s3),
        "mlflow": lambda: mlflow.service(workspace, addresses, s3),
    }


def _gateway(workspace: Workspace, addresses: Addresses) -> Service:
    from triune.delivery.gateway.backends import envoy_bootstrap
    from triune.operations.services.engines.settings import fingerprint

    spec = envoy_bootstrap.process(
        gateway_folder(workspace), addresses.port("envoy.admin"), addresses.port("envoy")
    )
    bootstrap = gateway_folder(workspace) / envoy_bootstrap.BOOTSTRAP_FILE
    seen = fingerprint({bootstrap: bootstrap.read_text()})
    return Service(replace(spec, env={**spec.env, **seen}, order=10))
