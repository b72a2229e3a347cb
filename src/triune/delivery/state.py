"""What an endpoint is meant to be: the arms it has, and a change that is under way.

The state is the intent. It is durable before anything acts on it; the gateway's table and
the running processes follow from it (`routed`, `upstreams`). So a command that dies at any
line leaves an intent that `triune.delivery.bluegreen.recover` finishes or undoes.
Every function here is pure: it returns the next state or refuses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from triune.core.config import slug
from triune.core.errors import Conflict, Refused
from triune.core.ids import key_of


class Phase(StrEnum):
    """Where an endpoint stands; `SENTENCES` says it in words."""

    EMPTY = "empty"
    SERVING = "serving"
    WATCHING = "watching"
    STARTING = "starting"
    WARMING = "warming"
    SMOKING = "smoking"
    REFUSING = "refusing"
    SWITCHING = "switching"
    ROLLING_BACK = "rolling-back"
    RETIRING = "retiring"


SENTENCES: Mapping[Phase, str] = {
    Phase.EMPTY: "Nothing has been released to this endpoint.",
    Phase.SERVING: "One release serves; there is none to go back to.",
    Phase.WATCHING: "A new release serves; the previous one is kept for the rollback window.",
    Phase.STARTING: "The candidate's process starts beside the one that serves.",
    Phase.WARMING: "The candidate answers example requests until it is warm.",
    Phase.SMOKING: "The candidate's smoke tests run; users do not see it yet.",
    Phase.REFUSING: "The candidate failed before it saw traffic and is being stopped.",
    Phase.SWITCHING: "Traffic moves to the candidate at once.",
    Phase.ROLLING_BACK: "Traffic returns to the previous release.",
    Phase.RETIRING: "An arm that no longer serves ends its requests and is stopped.",
}

NEXT: Mapping[Phase, Phase] = {
    Phase.STARTING: Phase.WARMING,
    Phase.WARMING: Phase.SMOKING,
    Phase.SMOKING: Phase.SWITCHING,
}
"""The way of a candidate that passes everything."""

BEFORE_TRAFFIC = frozenset(NEXT)


class Colour(StrEnum):
    """The two places an endpoint's arms can stand in."""

    BLUE = "blue"
    GREEN = "green"

    def other(self) -> Colour:
        return Colour.GREEN if self is Colour.BLUE else Colour.BLUE


@dataclass(frozen=True, slots=True)
class Arm:
    """One release as a running process at an endpoint."""

    release: str
    colour: Colour
    port: int
    process: str

    @property
    def upstream(self) -> str:
        """The gateway's name for it: process and release, so that no two arms share one."""
        return f"{self.process}-{key_of(self.release).rpartition('@')[2]}"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@dataclass(frozen=True, slots=True)
class Pending:
    """A change under way.

    ``rollout`` is the id of the event that began it; ``mark`` the id its next event will
    have, minted before the step acts, so that a step done twice is recorded once.
    """

    phase: Phase
    arm: Arm
    rollout: str
    mark: str
    actor: str
    why: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EndpointState:
    """All that is durable about an endpoint. ``rollback_until`` is in seconds since 1970."""

    endpoint: str
    live: Arm | None = None
    previous: Arm | None = None
    rollback_until: float | None = None
    rollout: str | None = None
    pending: Pending | None = None

    @property
    def slug(self) -> str:
        return slug(self.endpoint)

    @property
    def phase(self) -> Phase:
        if self.pending:
            return self.pending.phase
        if self.previous:
            return Phase.WATCHING
        return Phase.SERVING if self.live else Phase.EMPTY


def process_name(endpoint: str, colour: Colour) -> str:
    """The name under which an endpoint's arm of that colour runs."""
    return f"arm-{slug(endpoint)}-{colour.value}"


def free_colour(state: EndpointState) -> Colour:
    """The colour a candidate takes: the one that does not serve."""
    return state.live.colour.other() if state.live else Colour.BLUE


def routed(state: EndpointState) -> Arm | None:
    """The arm that users are meant to reach."""
    if state.pending and state.pending.phase is Phase.SWITCHING:
        return state.pending.arm
    if state.pending and state.pending.phase is Phase.ROLLING_BACK:
        return state.previous
    return state.live


def upstreams(state: EndpointState) -> tuple[Arm, ...]:
    """The arms the gateway has to know: those that serve, will serve or may again."""
    arms = [state.live, state.previous]
    if state.pending and state.pending.phase is Phase.SWITCHING:
        arms.append(state.pending.arm)
    return tuple(arm for arm in arms if arm)


def check_new(state: EndpointState, release: str) -> None:
    """A release that is live already needs no rollout."""
    if state.live and state.live.release == release:
        raise Conflict(
            "release-already-live",
            f"{release} serves {state.endpoint} already",
            hint="Nothing needs to be done; `triune rollout status` shows it.",
        )


def begin(state: EndpointState, candidate: Arm, *, mark: str, actor: str) -> EndpointState:
    """A rollout begins; its first event is its identity."""
    _settled(state)
    check_new(state, candidate.release)
    if state.previous is not None:
        raise Conflict(
            "rollback-window-open",
            "the previous release is still kept",
            hint="Wait until its window ends, or run `triune rollout rollback`.",
        )
    pending = Pending(Phase.STARTING, candidate, rollout=mark, mark=mark, actor=actor)
    return replace(state, pending=pending)


def advance(state: EndpointState, phase: Phase, *, mark: str) -> EndpointState:
    """The candidate has passed its phase and enters the next."""
    pending = _pending(state, *(before for before, after in NEXT.items() if after is phase))
    return replace(state, pending=replace(pending, phase=phase, mark=mark))


def refuse(state: EndpointState, why: Mapping[str, Any], *, mark: str) -> EndpointState:
    """The candidate failed before it saw traffic."""
    pending = _pending(state, *BEFORE_TRAFFIC)
    return replace(state, pending=replace(pending, phase=Phase.REFUSING, mark=mark, why=why))


def refused(state: EndpointState) -> EndpointState:
    """The candidate is stopped; all is as it was before the rollout."""
    _pending(state, Phase.REFUSING)
    return replace(state, pending=None)


def switched(state: EndpointState, *, rollback_until: float) -> EndpointState:
    """Users reach the candidate: it is live, and what was live can be gone back to."""
    pending = _pending(state, Phase.SWITCHING)
    return replace(
        state,
        live=pending.arm,
        previous=state.live,
        rollback_until=rollback_until if state.live else None,
        rollout=pending.rollout,
        pending=None,
    )


def roll_back(
    state: EndpointState, why: Mapping[str, Any], *, mark: str, actor: str
) -> EndpointState:
    """The live arm is to be left for the previous one."""
    _settled(state)
    if state.previous is None or state.live is None:
        raise Refused(
            "rollback-no-previous",
            f"{state.endpoint} has no previous release to go back to",
            hint="Start a rollout of the release you want: `triune rollout start`.",
        )
    rollout = state.rollout or mark
    pending = Pending(Phase.ROLLING_BACK, state.live, rollout, mark, actor, why)
    return replace(state, pending=pending)


def rolled_back(state: EndpointState) -> EndpointState:
    """Users are back on the previous release; the failed arm is to be stopped."""
    pending = replace(_pending(state, Phase.ROLLING_BACK), phase=Phase.RETIRING, why={})
    return replace(state, live=state.previous, previous=None, rollback_until=None, pending=pending)


def complete(
    state: EndpointState, why: Mapping[str, Any], *, mark: str, actor: str
) -> EndpointState:
    """The rollback window is over; the previous arm is to be stopped."""
    _settled(state)
    if state.previous is None:
        raise Conflict(
            "rollback-window-closed",
            f"{state.endpoint} keeps no previous release",
            hint="`triune rollout status` shows what serves now.",
        )
    rollout = state.rollout or mark
    pending = Pending(Phase.RETIRING, state.previous, rollout, mark, actor, why)
    return replace(state, previous=None, rollback_until=None, pending=pending)


def moved(state: EndpointState, process: str, port: int) -> EndpointState:
    """The arm that runs as ``process`` has another port: its old one was taken while it was
    down."""

    def at(arm: Arm | None) -> Arm | None:
        return replace(arm, port=port) if arm and arm.process == process else arm

    return replace(state, live=at(state.live), previous=at(state.previous))


def retired(state: EndpointState) -> EndpointState:
    """The arm that no longer serves is gone."""
    _pending(state, Phase.RETIRING)
    return replace(state, pending=None)


def _pending(state: EndpointState, *phases: Phase) -> Pending:
    if state.pending is None or state.pending.phase not in phases:
        allowed = " or ".join(sorted(phase.value for phase in phases))
        raise Conflict(
            "rollout-out-of-order",
            f"{state.endpoint} is {state.phase.value}, not {allowed}",
            hint="`triune rollout status` shows where it stands.",
        )
    return state.pending


def _settled(state: EndpointState) -> None:
    if state.pending is not None:
        raise Conflict(
            "rollout-in-progress",
            f"{state.endpoint} is {state.pending.phase.value}",
            hint="Wait for it; `triune rollout status` shows it.",
        )
