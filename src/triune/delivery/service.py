"""Delivery as others use it: releases, rollouts, rollbacks and what serves now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from triune.delivery import release as bundles
from triune.delivery import state
from triune.delivery.client import ready
from triune.delivery.moves import Moves, Observer, Rollout, Tools
from triune.delivery.release import Change
from triune.delivery.releases import Releases
from triune.delivery.state import Arm, Colour, EndpointState, Phase
from triune.ledger.envelope import person

PATIENCE_SECONDS = 10.0
"""How long a command waits while the guard looks after the endpoint."""

_READY_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Plan:
    """What a rollout would do."""

    endpoint: str
    release: str
    model: str
    colour: Colour
    previous: str | None
    changes: tuple[Change, ...]
    steps: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EndpointStatus:
    """What an endpoint serves now. ``ready`` is what the live arm itself says."""

    endpoint: str
    phase: Phase
    sentence: str
    live: Arm | None
    previous: Arm | None
    rollback_until: float | None
    ready: bool
    words: str


class Delivery:
    """The use cases. Changes of one endpoint exclude each other (``rollout-in-progress``)."""

    def __init__(self, tools: Tools) -> None:
        self.tools = tools

    @property
    def releases(self) -> Releases:
        """Making and finding releases."""
        return self.tools.releases

    def diff(self, before: str, after: str) -> tuple[Change, ...]:
        """Every setting in which two releases differ."""
        return bundles.diff(self.releases.get(before).bundle, self.releases.get(after).bundle)

    def plan(self, endpoint: str, ref: str) -> Plan:
        """What `start` would do now, without doing it."""
        release = self.releases.for_endpoint(endpoint, ref)
        now = self.tools.store.load(endpoint)
        changes: tuple[Change, ...] = ()
        steps = [
            f"start {release.bundle.model.ref} as {state.free_colour(now).value}",
            "warm it with example requests",
            "run the generic smoke tests and the workspace's own",
            "switch all traffic at once",
        ]
        if now.previous:
            steps.insert(0, f"stop {now.previous.release}, which is kept for its window")
        if now.live:
            changes = self.diff(now.live.release, ref)
            steps.append(f"keep {now.live.release} for the rollback window")
        return Plan(
            endpoint=endpoint,
            release=release.ref,
            model=release.bundle.model.ref,
            colour=state.free_colour(now),
            previous=now.live.release if now.live else None,
            changes=changes,
            steps=tuple(steps),
        )

    def start(
        self, endpoint: str, ref: str, *, actor: str | None = None, observe: Observer | None = None
    ) -> Rollout:
        """Change an endpoint to a release, blue-green; see `Moves.start`."""
        release = self.releases.for_endpoint(endpoint, ref)
        with self.tools.store.locked(endpoint, patience=PATIENCE_SECONDS):
            now = self.tools.store.load(endpoint)
            return self._moves(observe).start(now, release, actor or person())

    def rollback(
        self,
        endpoint: str,
        reason: str,
        *,
        actor: str | None = None,
        evidence: Mapping[str, Any] | None = None,
        expect: Arm | None = None,
        observe: Observer | None = None,
    ) -> EndpointState:
        """Return an endpoint's traffic to its previous release.

        ``evidence`` goes into the event; ``expect`` is the arm that is to be left: when
        another one is live by now, nothing is done.
        """
        patience = 0.0 if expect else PATIENCE_SECONDS
        with self.tools.store.locked(endpoint, patience=patience):
            moves = self._moves(observe)
            now = moves.recover(self.tools.store.load(endpoint))
            if expect is not None and now.live != expect:
                return now
            why = {"reason": reason, **(evidence or {})}
            return moves.roll_back(now, why, actor or person())

    def withdraw(
        self,
        endpoint: str,
        reason: str,
        *,
        actor: str | None = None,
        evidence: Mapping[str, Any] | None = None,
        expect: Arm | None = None,
    ) -> EndpointState:
        """Return an endpoint's traffic from a candidate to the stable release beside it.

        Nothing is done when there is no candidate (``expect``, when given) any more.
        """
        with self.tools.store.locked(endpoint, patience=PATIENCE_SECONDS):
            now = self.tools.store.load(endpoint)
            candidate = now.pending.arm if now.pending else None
            if now.phase not in state.BESIDE_STABLE or (expect and candidate != expect):
                return now
            why = {"reason": reason, **(evidence or {})}
            return self._moves(None).withdraw(now, why, actor or person())

    def complete(
        self, endpoint: str, reason: str, *, actor: str | None = None, expect: Arm | None = None
    ) -> EndpointState:
        """End an endpoint's rollback window: its previous release is stopped."""
        with self.tools.store.locked(endpoint):
            moves = self._moves(None)
            now = moves.recover(self.tools.store.load(endpoint))
            if expect is not None and (now.live != expect or now.previous is None):
                return now
            return moves.complete(now, {"reason": reason}, actor or person())

    def recover(self, endpoint: str, *, observe: Observer | None = None) -> EndpointState:
        """Finish or undo what a command that died left behind."""
        with self.tools.store.locked(endpoint):
            return self._moves(observe).recover(self.tools.store.load(endpoint))

    def repair(self, endpoint: str, dead: frozenset[str]) -> EndpointState:
        """Start the arms among ``dead`` again, then make the gateway follow the state."""
        with self.tools.store.locked(endpoint):
            now = self._moves(None).recover(self.tools.store.load(endpoint))
            for process in sorted(dead):
                port = self.tools.port_of(process)
                if state.moved(now, process, port) != now:
                    now = self.tools.store.save(state.moved(now, process, port))
            for arm in state.wanted(now):
                if arm.process in dead:
                    release = self.releases.get(arm.release)
                    self.tools.processes.ensure(self.tools.arms.process(release, arm))
            self.tools.routing.publish()
            return now

    def dead(self, endpoint: str) -> frozenset[str]:
        """Process names of the arms an endpoint should have that do not run."""
        now = self.tools.store.load(endpoint)
        running = {p.name for p in self.tools.processes.status() if p.pid is not None}
        return frozenset({arm.process for arm in state.wanted(now)} - running)

    def status(self, endpoint: str | None = None) -> tuple[EndpointStatus, ...]:
        """What each endpoint serves: those declared and those ever released to."""
        states = {now.endpoint: now for now in self.tools.store.all()}
        for name in self.tools.workspace.config.endpoints:
            states.setdefault(name, EndpointState(name))
        if endpoint is not None:
            states = {endpoint: self.tools.store.load(endpoint)}
        return tuple(endpoint_status(states[name]) for name in sorted(states))

    def _moves(self, observe: Observer | None) -> Moves:
        return Moves(self.tools, observe) if observe else Moves(self.tools)


def endpoint_status(now: EndpointState) -> EndpointStatus:
    """What an endpoint in this state serves, and whether its live arm says that it is ready."""
    alive, words = False, "nothing is live"
    if now.live:
        alive, words = ready("127.0.0.1", now.live.port, timeout=_READY_SECONDS)
    return EndpointStatus(
        endpoint=now.endpoint,
        phase=now.phase,
        sentence=state.SENTENCES[now.phase],
        live=now.live,
        previous=now.previous,
        rollback_until=now.rollback_until,
        ready=alive,
        words=words,
    )
