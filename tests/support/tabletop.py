"""Rollouts on a table top: everything that decides is real, everything that runs is made up.

State files, records, conductor and watches are those of production. The gateway is in memory,
processes are names, the log is a list that can be full, the clock is turned by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.support.delivery import StubModels
from tests.support.evidence import tally
from tests.support.gateways import listening
from tests.support.upstream import Upstream as Server
from triune.core.errors import Unavailable
from triune.core.process import HttpReady, ProcessSpec
from triune.core.workspace import Workspace
from triune.delivery import state
from triune.delivery.gateway.backends.memory import MemoryGateway
from triune.delivery.gateway.model import Snapshot, Stratum, Tally
from triune.delivery.moves import Tools
from triune.delivery.release import Bundle, BundleStore, Pin, Release, Serving
from triune.delivery.releases import Releases
from triune.delivery.rollout.conductor import Conductor, Where
from triune.delivery.rollout.model import Definition, Record, Ticket, Wish
from triune.delivery.rollout.service import Rollouts
from triune.delivery.rollout.shadowing import Shadowing
from triune.delivery.rollout.store import RecordStore
from triune.delivery.rollout.watch import Watch
from triune.delivery.routing import Routing
from triune.delivery.smoke import SmokeTest
from triune.delivery.state import Arm, Colour, EndpointState, Phase
from triune.delivery.store import EndpointStore
from triune.ledger.envelope import Edge, Event
from triune.ledger.ports import Position, Query, Stored

ENDPOINT = "flights/delay"
NOWHERE = 1
"""A port of loopback at which nobody listens."""

CANARY = """
strategy = "canary"
steps = [10, 50]
step_s = 30
tick_s = 10
warm_up_s = 0
min_requests = 100
horizon_s = 600
metrics = [{ name = "errors" }]
"""
BLUE_GREEN = 'strategy = "blue-green"'
SHADOW = 'strategy = "shadow"\ntick_s = 10\nhorizon_s = 100'

_CONFIG = """
[workspace]
name = "table"
"""
_TABLE = f"""
[endpoints."{ENDPOINT}"]
model = "delay"
smoke_latency_ms = 60000.0

[endpoints."{ENDPOINT}".rollout]
"""
_START = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


class TwoHands:
    """A clock whose date can jump while its monotonic hand goes on."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.jumped = 0.0

    def now(self) -> datetime:
        return _START + timedelta(seconds=self.seconds + self.jumped)

    def monotonic(self) -> float:
        return self.seconds


class ListLog:
    """The port `Log` as a list; while ``full`` its journal takes nothing."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.full = False

    def append(self, event: Event) -> None:
        if self.full:
            raise Unavailable("journal-full", "the journal has no room", hint="Free some.")
        self.record([event])

    def record(self, events: Sequence[Event], *, position: Position | None = None) -> int:
        known = {event.id for event in self.events}
        new = [event for event in events if event.id not in known]
        self.events += new
        return len(new)

    def position(self, reader: str) -> str | None:
        return None

    def select(self, query: Query) -> Iterator[Stored]:
        found = [
            Stored(number, event)
            for number, event in enumerate(self.events, 1)
            if number > query.after
            and query.kind in (None, event.kind)
            and query.subject in (None, event.subject)
            and (query.since or 0) <= event.time <= (query.until or event.time)
        ]
        yield from (found[::-1] if query.newest_first else found)[: query.limit]

    def about(self, refs: Sequence[str], kinds: Sequence[str]) -> list[Stored]:
        return [
            s for s in self.select(Query()) if s.event.subject in refs and s.event.kind in kinds
        ]

    def ancestors(self, ref: str, *, limit: int = 0) -> list[Edge]:
        return []

    def kinds(self, kind: str) -> list[Event]:
        return [event for event in self.events if event.kind == kind]


@dataclass(frozen=True)
class Named:
    name: str
    pid: int | None = 1


class NamedProcesses:
    """The port `Processes` without processes: which names were asked for and not stopped."""

    def __init__(self) -> None:
        self.running: set[str] = set()

    def ensure(self, spec: ProcessSpec) -> None:
        self.running.add(spec.name)

    def remove(self, name: str) -> None:
        self.running.discard(name)

    def status(self) -> Sequence[Named]:
        return [Named(name) for name in sorted(self.running)]


class NoArms:
    """The port `Arms` for processes that are only names."""

    def process(self, release: Release, arm: Arm) -> ProcessSpec:
        return ProcessSpec(arm.process, ("true",), HttpReady(arm.url))

    def forget(self, arm: Arm) -> None:
        """Nothing was written for it."""


class Tabletop:
    """One endpoint with a stable release, unless ``live`` is false, and candidates for it.

    ``told`` is called with each step of the conductor and its moves.
    """

    def __init__(self, root: Path, table: str = CANARY, *, live: bool = True) -> None:
        self.root = root
        (root / "triune.toml").write_text(_CONFIG + _TABLE + table)
        self.workspace = Workspace(root)
        self.clock, self.log = TwoHands(), ListLog()
        self.gateway, self.processes = MemoryGateway(), NamedProcesses()
        self.store = EndpointStore(self.workspace.state / "endpoints")
        self.records = RecordStore(self.workspace.state / "rollouts")
        self.models = StubModels(root / "models")
        self.port = NOWHERE
        self.own_tests: list[SmokeTest] = []
        self.told: Callable[[str], None] = lambda _: None
        self.prior: Callable[[Record], Definition] = lambda record: record.definition
        self._releases = 0
        self.take_up()
        if live:
            arm = Arm(self.release().ref, Colour.GREEN, NOWHERE, "arm-flights-delay-green")
            self.store.save(EndpointState(ENDPOINT, live=arm))
            self.tools.routing.publish()

    def take_up(self) -> None:
        """Like a process that starts: the settings are read anew, the watch has no memory."""
        self.workspace = Workspace(self.root)
        self.tools = Tools(
            workspace=self.workspace,
            store=self.store,
            routing=Routing(self.store, self.gateway),
            processes=self.processes,
            arms=NoArms(),
            port_of=lambda _: self.port,
            releases=Releases(self.workspace, self.log, self.models, lambda _: []),
            log=self.log,
            own_tests=lambda _: self.own_tests,
            examples=lambda _: {"x": [1.0]},
            clock=self.clock,
        )
        self.conductor = Conductor(
            self.tools,
            self.records,
            self._prior,
            lambda step, _: self.told(step),
        )
        self._watch: Watch | Shadowing | None = None
        self._watched: Ticket | None = None

    def _prior(self, record: Record) -> Definition:
        return self.prior(record)

    def _snapshot(self) -> Snapshot:
        return self._read()

    def undeclare(self) -> None:
        """The endpoint is removed from ``triune.toml``, and everything is started anew."""
        (self.root / "triune.toml").write_text(_CONFIG)
        self.take_up()

    def release(self) -> Release:
        self._releases += 1
        model = f"delay-{self._releases}"
        self.models.add(model)
        pin = Pin(f"model:{model}", self.models.resolve(model).digest)
        bundle = Bundle(ENDPOINT, pin, Serving(), commit="abc")
        return BundleStore(self.workspace.state / "releases").add(bundle)

    @property
    def rollouts(self) -> Rollouts:
        return Rollouts(self.conductor)

    @property
    def now(self) -> EndpointState:
        return self.store.load(ENDPOINT)

    @property
    def record(self) -> Record:
        found = self.records.load(ENDPOINT)
        assert found is not None
        return found

    @property
    def record_path(self) -> Path:
        return self.workspace.state / "rollouts" / "flights-delay.json"

    def order(self) -> Ticket:
        """A rollout begins; its candidate's process is not started yet."""
        return self.conductor.order(ENDPOINT, self.release(), actor="user:ada")

    def smoking(self) -> Ticket:
        """A rollout whose candidate is warm."""
        ticket = self.order()
        self._advance(Phase.WARMING)
        self._advance(Phase.SMOKING)
        return ticket

    def shadowing(self) -> Ticket:
        """A rollout in phase `SHADOWING`, not looked at yet."""
        ticket = self.smoking()
        self._advance(Phase.SHADOWING)
        return ticket

    def canary(self) -> Ticket:
        """A rollout in phase `CANARY`, not looked at yet."""
        ticket = self.shadowing()
        self.conductor.enter_canary(ticket)
        return ticket

    def _advance(self, phase: Phase) -> None:
        self.store.save(state.advance(self.now, phase, mark=f"mark-{phase.value}"))

    def turn(
        self,
        ticket: Ticket,
        snapshot: Callable[[], Snapshot] | None = None,
        *,
        seconds: float = 0.0,
    ) -> Where:
        """Let time pass, then turn the watch of the rollout; ``snapshot`` reads in its place."""
        self.clock.seconds += seconds
        if self._watched != ticket:
            self._watch, self._watched = None, ticket
        if self.now.phase is Phase.SHADOWING and not isinstance(self._watch, Shadowing):
            self._watch = Shadowing(self.conductor, lambda arm: self.root / arm.upstream, ticket)
        if self.now.phase is Phase.CANARY and not isinstance(self._watch, Watch):
            self._watch = Watch(self.conductor, self._snapshot, ticket)
        self._read = snapshot or self.gateway.snapshot
        assert self._watch is not None
        return self._watch.turn()

    def traffic(
        self,
        control: tuple[int, int] = (900, 9),
        candidate: tuple[int, int] = (100, 1),
        *,
        latency: bool = True,
    ) -> None:
        """Both arms answer: requests and errors of each, by units and equally fast."""
        now = self.now
        assert now.live is not None
        assert now.pending is not None
        for arm, (requests, errors) in ((now.live, control), (now.pending.arm, candidate)):
            key = arm.upstream, Stratum.UNIT
            more = tally(requests, errors) if latency else Tally(requests, errors)
            self.gateway.tallies[key] = _sum(self.gateway.tallies.get(key, Tally()), more)

    def look(
        self,
        ticket: Ticket,
        control: tuple[int, int] = (900, 9),
        candidate: tuple[int, int] = (100, 1),
        **options: Any,
    ) -> Where:
        """A tick of traffic, then the look at it."""
        self.traffic(control, candidate, **options)
        return self.turn(ticket, seconds=10.0)

    def begun(self) -> Ticket:
        """A canary at its first step, with its first reading taken."""
        ticket = self.canary()
        self.turn(ticket)
        assert self.weight == self.record.definition.steps[0]
        return ticket

    @property
    def weight(self) -> int:
        """Units of 10,000 that the gateway gives to a candidate."""
        (route,) = self.gateway.table.routes
        mine = self.now.live
        return sum(t.weight for t in route.targets if mine is None or t.upstream != mine.upstream)

    def served(self) -> str:
        """The release that most users reach, as the gateway has it."""
        found = self.gateway.answers(f"/{ENDPOINT}/infer")
        assert found is not None
        return found.release

    def wish(self, reason: str = "customers call") -> Wish:
        return Wish("user:ada", reason, self.clock.now().timestamp())

    @contextmanager
    def answering(self, port: int) -> Iterator[None]:
        """The candidate's model server answers at ``port``, which arms get from now on."""
        self.port = port
        server = Server(port, f"release:flights-delay@{'0' * 12}", "blue", "flights-delay")
        self._server = server
        with listening(server):
            yield

    def named(self, ticket: Ticket) -> None:
        """What answers is this rollout's candidate."""
        assert self.now.pending is not None
        assert self.now.pending.rollout == ticket.rollout
        self._server.release = self.now.pending.arm.release


def _sum(one: Tally, other: Tally) -> Tally:
    edges = one.latency.keys() | other.latency.keys()
    latency = {edge: one.latency.get(edge, 0) + other.latency.get(edge, 0) for edge in edges}
    return replace(
        one,
        requests=one.requests + other.requests,
        errors=one.errors + other.errors,
        latency=latency,
    )
