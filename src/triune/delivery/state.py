"""What an endpoint is meant to be: the arms it has, and a change that is under way.

The state is the intent. It is durable before anything acts on it; the gateway's table and
the running processes follow from it (`routed`, `upstreams`). So a command that dies at any
line leaves an intent that `triune.delivery.moves.Moves.recover` finishes or undoes.
Every function here is pure: it returns the next state or refuses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from triune.core.assignment import TOTAL
from triune.core.config import slug
from triune.core.errors import Conflict, Refused
from triune.core.ids import key_of
from triune.core.rollout_config import Strategy


class Phase(StrEnum):
    """Where an endpoint stands; `SENTENCES` says it in words."""

    EMPTY = "empty"
    SERVING = "serving"
    WATCHING = "watching"
    STARTING = "starting"
    WARMING = "warming"
    SMOKING = "smoking"
    SHADOWING = "shadowing"
    CANARY = "canary"
    REFUSING = "refusing"
    SWITCHING = "switching"
    WITHDRAWING = "withdrawing"
    ROLLING_BACK = "rolling-back"
    RETIRING = "retiring"


SENTENCES: Mapping[Phase, str] = {
    Phase.EMPTY: "Nothing has been released to this endpoint.",
    Phase.SERVING: "One release serves; there is none to go back to.",
    Phase.WATCHING: "A new release serves; the previous one is kept for the rollback window.",
    Phase.STARTING: "The candidate's process starts beside the one that serves.",
    Phase.WARMING: "The candidate answers example requests until it is warm.",
    Phase.SMOKING: "The candidate's smoke tests run; users do not see it yet.",
    Phase.SHADOWING: "Requests are mirrored to the candidate and its answers compared.",
    Phase.CANARY: "A share of the units reaches the candidate; both arms are compared.",
    Phase.REFUSING: "The candidate failed before it saw traffic and is being stopped.",
    Phase.SWITCHING: "All traffic moves to the candidate.",
    Phase.WITHDRAWING: "All traffic returns to the stable release; the candidate is stopped.",
    Phase.ROLLING_BACK: "Traffic returns to the previous release.",
    Phase.RETIRING: "An arm that no longer serves ends its requests and is stopped.",
}

BEFORE: Mapping[Phase, frozenset[Phase]] = {
    Phase.WARMING: frozenset({Phase.STARTING}),
    Phase.SMOKING: frozenset({Phase.WARMING}),
    Phase.SHADOWING: frozenset({Phase.SMOKING}),
    Phase.CANARY: frozenset({Phase.SMOKING, Phase.SHADOWING}),
    Phase.SWITCHING: frozenset({Phase.SMOKING, Phase.SHADOWING, Phase.CANARY}),
}
"""The ways of a candidate that passes everything: from which phases each is entered."""

BEFORE_TRAFFIC = frozenset({Phase.STARTING, Phase.WARMING, Phase.SMOKING})
BESIDE_STABLE = frozenset({Phase.SHADOWING, Phase.CANARY})
"""The candidate gets requests, and stable can take them back at once."""


class Colour(StrEnum):
    """The places an endpoint's arms can stand in; a fresh baseline's is grey."""

    BLUE = "blue"
    GREEN = "green"
    GREY = "grey"

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


class Role(StrEnum):
    """What an arm is to an endpoint's users: ``x-triune-arm`` says it."""

    STABLE = "stable"
    CANDIDATE = "candidate"
    BASELINE = "baseline"


class Driver(StrEnum):
    """Who takes a rollout from phase to phase, and goes on with it after a crash."""

    COMMAND = "command"
    CONTROLLER = "controller"


@dataclass(frozen=True, slots=True)
class Pending:
    """A change under way.

    ``rollout`` is the id of the event that began it; ``mark`` the id its next event will
    have, minted before the step acts, so that a step done twice is recorded once. ``weight``
    of 10,000 units reach the candidate in phase `CANARY`, and as many the ``baseline``, a
    fresh instance of the stable release; ``mirror`` of 10,000 requests are copied to the
    candidate in phase `SHADOWING`.
    """

    phase: Phase
    arm: Arm
    rollout: str
    mark: str
    actor: str
    why: Mapping[str, Any] = field(default_factory=dict)
    strategy: Strategy = Strategy.BLUE_GREEN
    driver: Driver = Driver.COMMAND
    weight: int = 0
    mirror: int = 0
    baseline: Arm | None = None

    @property
    def arms(self) -> tuple[Arm, ...]:
        """The candidate, and the baseline where there is one."""
        return (self.arm, self.baseline) if self.baseline else (self.arm,)


class Outcome(StrEnum):
    """How a rollout ended."""

    PROMOTED = "promoted"
    ROLLED_BACK = "rolled-back"
    REFUSED = "refused"
    COMPARED = "compared"


OUTCOMES: Mapping[Outcome, str] = {
    Outcome.PROMOTED: "The candidate serves all users.",
    Outcome.ROLLED_BACK: "All users are back on the stable release.",
    Outcome.REFUSED: "The candidate was stopped before any user saw it.",
    Outcome.COMPARED: "The shadow's answers were compared; no user saw any of them.",
}


@dataclass(frozen=True, slots=True)
class Ending:
    """How a rollout ended, of which release, and why."""

    rollout: str
    release: str
    outcome: Outcome
    why: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EndpointState:
    """All that is durable about an endpoint. ``rollback_until`` is in seconds since 1970;
    ``last`` is how its latest rollout ended."""

    endpoint: str
    live: Arm | None = None
    previous: Arm | None = None
    rollback_until: float | None = None
    rollout: str | None = None
    pending: Pending | None = None
    last: Ending | None = None

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


@dataclass(frozen=True, slots=True)
class Share:
    """An arm in its role, and how many of 10,000 units are meant to reach it."""

    arm: Arm
    role: Role
    weight: int


def shares(state: EndpointState) -> tuple[Share, ...]:
    """Who is meant to answer an endpoint's units, in the order of their buckets.

    The candidate comes first and the baseline last: while their weights only rise, a unit
    that reached either stays with it.
    """
    pending = state.pending
    if pending and pending.phase is Phase.SWITCHING:
        return (Share(pending.arm, Role.STABLE, TOTAL),)
    if pending and pending.phase is Phase.ROLLING_BACK:
        return (Share(state.previous, Role.STABLE, TOTAL),) if state.previous else ()
    if state.live is None:
        return ()
    if pending and pending.phase is Phase.CANARY:
        fresh = pending.weight if pending.baseline else 0
        middle = Share(state.live, Role.STABLE, TOTAL - pending.weight - fresh)
        found = [Share(pending.arm, Role.CANDIDATE, pending.weight), middle]
        if pending.baseline:
            found.append(Share(pending.baseline, Role.BASELINE, fresh))
        return tuple(found)
    return (Share(state.live, Role.STABLE, TOTAL),)


def mirrored(state: EndpointState) -> Arm | None:
    """The arm that gets copies of requests, its answers unseen by users."""
    pending = state.pending
    return pending.arm if pending and pending.phase is Phase.SHADOWING else None


def upstreams(state: EndpointState) -> tuple[tuple[Arm, Role], ...]:
    """The arms the gateway has to know: those that serve, will serve or may again, and a
    candidate that is being withdrawn, which it may still route to."""
    arms = {share.arm: share.role for share in shares(state)}
    for arm in (state.live, state.previous):
        if arm:
            arms.setdefault(arm, Role.STABLE)
    pending = state.pending
    if pending and pending.phase in BESIDE_STABLE | {Phase.WITHDRAWING}:
        arms.setdefault(pending.arm, Role.CANDIDATE)
        if pending.baseline:
            arms.setdefault(pending.baseline, Role.BASELINE)
    return tuple(arms.items())


def wanted(state: EndpointState) -> tuple[Arm, ...]:
    """The arms whose processes must run: those that answer, are mirrored to or may again."""
    arms = [state.live, state.previous]
    if state.pending and state.pending.phase in BESIDE_STABLE:
        arms += state.pending.arms
    return tuple(arm for arm in arms if arm)


def check_new(state: EndpointState, release: str) -> None:
    """A release that is live already needs no rollout."""
    if state.live and state.live.release == release:
        raise Conflict(
            "release-already-live",
            f"{release} serves {state.endpoint} already",
            hint="Nothing needs to be done; `triune rollout status` shows it.",
        )


def begin(
    state: EndpointState,
    candidate: Arm,
    *,
    mark: str,
    actor: str,
    strategy: Strategy = Strategy.BLUE_GREEN,
    driver: Driver = Driver.COMMAND,
    baseline: Arm | None = None,
) -> EndpointState:
    """A rollout begins; its first event is its identity."""
    check_settled(state)
    check_new(state, candidate.release)
    if state.previous is not None:
        raise Conflict(
            "rollback-window-open",
            "the previous release is still kept",
            hint="Wait until its window ends, or run `triune rollout rollback`.",
        )
    pending = Pending(
        Phase.STARTING,
        candidate,
        rollout=mark,
        mark=mark,
        actor=actor,
        strategy=strategy,
        driver=driver,
        baseline=baseline,
    )
    return replace(state, pending=pending)


def advance(state: EndpointState, phase: Phase, *, mark: str, mirror: int = 0) -> EndpointState:
    """The candidate has passed its phase and enters the next."""
    pending = _pending(state, *BEFORE[phase])
    return replace(state, pending=replace(pending, phase=phase, mark=mark, mirror=mirror))


def weigh(state: EndpointState, weight: int, *, mark: str) -> EndpointState:
    """More units reach the candidate: a canary step. A weight never falls but to nothing."""
    pending = _pending(state, Phase.CANARY)
    most = TOTAL // 2 if pending.baseline else TOTAL - 1
    if not pending.weight < weight <= most:
        raise Refused(
            "rollout-weight-falls",
            f"the candidate's weight may rise from {pending.weight} up to {most}, not to {weight}",
            context=state.endpoint,
            hint="Units that moved never move back; `triune rollout abort` takes all of them back.",
        )
    return replace(state, pending=replace(pending, weight=weight, mark=mark))


def withdraw(
    state: EndpointState, why: Mapping[str, Any], *, mark: str, actor: str
) -> EndpointState:
    """The candidate is to be left for the stable release, which serves beside it, or did until
    a switch began that has not ended."""
    pending = _pending(state, *BESIDE_STABLE, *([Phase.SWITCHING] if state.live else []))
    leaving = replace(pending, phase=Phase.WITHDRAWING, mark=mark, why=why, actor=actor)
    return replace(state, pending=leaving)


def withdrawn(state: EndpointState) -> EndpointState:
    """All users are on the stable release again; the candidate is to be stopped."""
    pending = _pending(state, Phase.WITHDRAWING)
    compared = pending.why.get("outcome") == Outcome.COMPARED.value
    outcome = Outcome.COMPARED if compared else Outcome.ROLLED_BACK
    left = replace(pending, phase=Phase.RETIRING, why={})
    return replace(state, pending=left, last=_ending(pending, outcome))


def refuse(state: EndpointState, why: Mapping[str, Any], *, mark: str) -> EndpointState:
    """The candidate failed before it saw traffic."""
    pending = _pending(state, *BEFORE_TRAFFIC)
    return replace(state, pending=replace(pending, phase=Phase.REFUSING, mark=mark, why=why))


def refused(state: EndpointState) -> EndpointState:
    """The candidate is stopped; all is as it was before the rollout."""
    pending = _pending(state, Phase.REFUSING)
    return replace(state, pending=None, last=_ending(pending, Outcome.REFUSED))


def switched(state: EndpointState, *, rollback_until: float) -> EndpointState:
    """Users reach the candidate: it is live, and what was live can be gone back to.

    A fresh baseline is needed no more and is to be stopped.
    """
    pending = _pending(state, Phase.SWITCHING)
    left = None
    if pending.baseline:
        left = replace(pending, phase=Phase.RETIRING, arm=pending.baseline, baseline=None, why={})
    return replace(
        state,
        live=pending.arm,
        previous=state.live,
        rollback_until=rollback_until if state.live else None,
        rollout=pending.rollout,
        pending=left,
        last=_ending(pending, Outcome.PROMOTED),
    )


def roll_back(
    state: EndpointState, why: Mapping[str, Any], *, mark: str, actor: str
) -> EndpointState:
    """The live arm is to be left for the previous one."""
    check_settled(state)
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
    pending = _pending(state, Phase.ROLLING_BACK)
    return replace(
        state,
        live=state.previous,
        previous=None,
        rollback_until=None,
        pending=replace(pending, phase=Phase.RETIRING, why={}),
        last=_ending(pending, Outcome.ROLLED_BACK),
    )


def complete(
    state: EndpointState, why: Mapping[str, Any], *, mark: str, actor: str
) -> EndpointState:
    """The rollback window is over; the previous arm is to be stopped."""
    check_settled(state)
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

    pending = state.pending
    if pending:
        arm = at(pending.arm) or pending.arm
        pending = replace(pending, arm=arm, baseline=at(pending.baseline))
    return replace(state, live=at(state.live), previous=at(state.previous), pending=pending)


def retired(state: EndpointState) -> EndpointState:
    """The arm that no longer serves is gone."""
    _pending(state, Phase.RETIRING)
    return replace(state, pending=None)


def _ending(pending: Pending, outcome: Outcome) -> Ending:
    return Ending(pending.rollout, pending.arm.release, outcome, pending.why)


def _pending(state: EndpointState, *phases: Phase) -> Pending:
    if state.pending is None or state.pending.phase not in phases:
        allowed = " or ".join(sorted(phase.value for phase in phases))
        raise Conflict(
            "rollout-out-of-order",
            f"{state.endpoint} is {state.phase.value}, not {allowed}",
            hint="`triune rollout status` shows where it stands.",
        )
    return state.pending


def check_settled(state: EndpointState) -> None:
    """No change is under way."""
    if state.pending is not None:
        raise Conflict(
            "rollout-in-progress",
            f"{state.endpoint} is {state.pending.phase.value}",
            hint="Wait for it; `triune rollout status` shows it.",
        )
