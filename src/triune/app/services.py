"""What runs in each profile, and bringing it up and down with its events."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from triune.app.context import Context
from triune.core.config import SERVICE_NAMES, Profile
from triune.core.errors import MissingEngine, TriuneError
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
    """What is to run, and what could not be had and why."""

    services: tuple[Service, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Up:
    """What `up` did: every process as it is now, the names it started, what it left out."""

    statuses: tuple[ProcessStatus, ...]
    started: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Down:
    """What `down` did: the names of what ran, and what could not be written down."""

    stopped: tuple[str, ...]
    notes: tuple[str, ...] = ()


def plan(ctx: Context) -> Plan:
    """The services of the profile in force, without those that ``triune.toml`` leaves out.

    Raises
    ------
    MissingEngine: (``engine-missing``) a service's program is not installed. In profile
    ``local`` Prometheus and Alertmanager are left out instead, with a note.
    """
    enabled = _enabled(ctx)
    services, notes = [], []
    for name, build in _builders(ctx).items():
        if name not in enabled:
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
        unwanted = frozenset(SERVICE_NAMES) - _enabled(ctx)
        ctx.addresses.settle_ports(running | unwanted)
        made.append(plan(ctx))
        for name in running & unwanted:
            ctx.supervisor.remove(name)
        return made[0].services

    def choose(running: frozenset[str]) -> Sequence[Service]:
        before = ctx.addresses.profile
        ctx.addresses.choose_profile(profile)
        try:
            return prepare(running)
        except TriuneError:
            ctx.addresses.choose_profile(before)
            raise

    statuses = ctx.supervisor.up(choose, watch)
    payloads = {name: {"seconds": round(seconds, 3)} for name, seconds in started.items()}
    _record(ctx.workspace, "service.started", payloads)
    return Up(statuses, tuple(sorted(started)), made[0].notes)


def up_only(ctx: Context, names: Collection[str]) -> None:
    """Start some services of the profile alone, as for a restored copy; no event tells of it.

    Raises what `up` raises.
    """
    ctx.addresses.settle_ports(())
    wanted = [build() for name, build in _builders(ctx).items() if name in names]
    ctx.supervisor.up(lambda _: wanted, silent)


def down(ctx: Context, *, on_progress: OnProgress = silent) -> Down:
    """Stop everything in reverse order, whatever state it is in.

    Writes ``service.stopped`` for each first, since the ledger's database may be among them;
    a ledger that cannot be written does not keep anything running, and is noted.
    """
    names = [status.name for status in ctx.supervisor.status() if status.pid]
    notes = []
    try:
        _record(ctx.workspace, "service.stopped", {name: {} for name in names})
    except TriuneError as error:
        notes.append(f"not in the ledger: {error.message}")
    return Down(ctx.supervisor.down(on_progress), tuple(notes))


def _record(workspace: Workspace, kind: str, payloads: Mapping[str, Mapping[str, float]]) -> None:
    """In a ledger opened for this alone: the profile, and so the database, may just have
    changed, or be about to stop."""
    if not payloads:
        return
    own = Context(workspace)
    try:
        own.ledger.record(
            [
                event(kind, f"service:{name}", workspace=workspace.name, payload=payload)
                for name, payload in payloads.items()
            ]
        )
    finally:
        own.close()


def _enabled(ctx: Context) -> frozenset[str]:
    tables = ctx.workspace.config.services
    return frozenset(name for name in _builders(ctx) if name not in tables or tables[name].enabled)


def _builders(ctx: Context) -> dict[str, Callable[[], Service]]:
    """How to describe each service of the profile; nothing is looked for until called."""
    from triune.app import abtests
    from triune.operations.services.engines import alertmanager, daemons, prometheus, temporal

    workspace, addresses = ctx.workspace, ctx.addresses
    builders: dict[str, Callable[[], Service]] = {
        "envoy": lambda: _gateway(ctx),
        "temporal": lambda: temporal.service(workspace, addresses),
        "prometheus": lambda: prometheus.service(workspace, addresses),
        "alertmanager": lambda: alertmanager.service(workspace, addresses),
        "ingest": lambda: daemons.service(workspace, addresses, "ingest"),
        "guard": lambda: daemons.service(workspace, addresses, "guard"),
        "controller": lambda: daemons.service(workspace, addresses, "controller"),
        "tracker": lambda: daemons.service(workspace, addresses, "tracker"),
        "flags": lambda: daemons.service(workspace, addresses, "flags"),
    }
    if workspace.config.streams:
        builders |= _stream_builders(workspace, addresses)
    if any(flow.schedule for flow in workspace.config.flows.values()):
        builders["flows"] = lambda: daemons.service(workspace, addresses, "flows")
    if workspace.config.tests or abtests.folder(workspace).is_dir():
        builders["tests"] = lambda: daemons.service(workspace, addresses, "tests")
    if workspace.config.backup is not None:
        builders["backups"] = lambda: daemons.service(workspace, addresses, "backups")
    if addresses.s3 is not None:
        builders |= _server_builders(workspace, addresses, addresses.s3)
    return builders


def _stream_builders(
    workspace: Workspace, addresses: Addresses
) -> dict[str, Callable[[], Service]]:
    """The broker and the consumers."""
    from triune.operations.services.engines import broker, daemons

    return {
        "broker": lambda: broker.service(workspace, addresses),
        "streams": lambda: daemons.service(workspace, addresses, "streams"),
    }


def _server_builders(
    workspace: Workspace, addresses: Addresses, s3: S3
) -> dict[str, Callable[[], Service]]:
    from triune.operations.services.engines import mlflow, postgres, prefect, seaweedfs, valkey

    flows: dict[str, Callable[[], Service]] = {}
    if workspace.config.flows:
        flows["prefect"] = lambda: prefect.service(workspace, addresses)
    return flows | {
        "postgres": lambda: postgres.service(workspace, addresses),
        "valkey": lambda: valkey.service(workspace, addresses),
        "seaweedfs": lambda: seaweedfs.service(workspace, addresses, s3),
        "mlflow": lambda: mlflow.service(workspace, addresses, s3),
    }


def _gateway(ctx: Context) -> Service:
    from triune.app import rollouts
    from triune.delivery.gateway.backends.envoy_bootstrap import BOOTSTRAP_FILE
    from triune.operations.services.engines.settings import fingerprint

    spec = rollouts.gateway_process(ctx)
    bootstrap = rollouts.gateway_folder(ctx.workspace) / BOOTSTRAP_FILE
    seen = fingerprint({bootstrap: bootstrap.read_text()})
    return Service(replace(spec, env={**spec.env, **seen}, order=10))
