"""What `triune status` shows: services and endpoints, read without opening the ledger."""

from __future__ import annotations

from dataclasses import dataclass

from triune.app.context import Context
from triune.operations.services import processes
from triune.operations.services.model import ProcessStatus


@dataclass(frozen=True, slots=True)
class EndpointLine:
    """One endpoint: where it stands, what serves it, what it can go back to."""

    endpoint: str
    phase: str
    release: str | None
    colour: str | None
    previous: str | None
    process: str | None
    url: str


@dataclass(frozen=True, slots=True)
class ServiceLine:
    """One service: its process, and where it answers."""

    process: ProcessStatus
    address: str | None


@dataclass(frozen=True, slots=True)
class Status:
    """A workspace as it is now.

    ``leftovers`` counts processes that go on without a supervisor, after a crash of it.
    """

    workspace: str
    profile: str
    running: bool
    leftovers: int
    services: tuple[ServiceLine, ...]
    endpoints: tuple[EndpointLine, ...]


def status(ctx: Context) -> Status:
    """Services with their state, and endpoints with what serves them; well under a second."""
    supervisor = ctx.supervisor
    found = supervisor.status()
    running = bool(found) or supervisor.running()
    addresses = ctx.addresses.public()
    return Status(
        workspace=ctx.workspace.name,
        profile=ctx.addresses.profile.value,
        running=running,
        leftovers=0 if running else len(processes.marked(ctx.workspace.marker)),
        services=tuple(ServiceLine(p, addresses.get(p.name)) for p in found),
        endpoints=tuple(_endpoints(ctx)),
    )


def _endpoints(ctx: Context) -> list[EndpointLine]:
    folder = ctx.workspace.state / "endpoints"
    if not folder.is_dir():
        return []
    from triune.delivery.store import EndpointStore

    gateway = ctx.addresses.gateway_url
    return [
        EndpointLine(
            endpoint=state.endpoint,
            phase=state.phase.value,
            release=state.live.release if state.live else None,
            colour=state.live.colour.value if state.live else None,
            previous=state.previous.release if state.previous else None,
            process=state.live.process if state.live else None,
            url=f"{gateway}/{state.endpoint}/v2/models/{state.slug}/infer",
        )
        for state in EndpointStore(folder).all()
    ]
