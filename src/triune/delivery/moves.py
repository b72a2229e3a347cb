"""What changes an endpoint: each move first makes its intent durable, then acts.

Acting twice does no harm: a move that was begun before is finished, one that was finished is
left as it is. So kill -9 at any line leaves users on the old release or on the new one. Whoever
drives a rollout (the controller, or a command) calls the moves one by one; `Moves.recover`,
called by the next command and by the guard, finishes what no longer needs a driver and undoes
what a command that died left before its candidate saw traffic.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from triune.core.clock import Clock
from triune.core.errors import CheckFailed, TriuneError, Unavailable
from triune.core.ids import new_id
from triune.core.rollout_config import Strategy
from triune.core.workspace import Workspace
from triune.delivery import smoke as suite
from triune.delivery import state
from triune.delivery.client import ready
from triune.delivery.ports import Arms, Examples, Log, OwnTests, PortOf, Processes
from triune.delivery.release import Release
from triune.delivery.releases import Releases, settings, settings_in_force
from triune.delivery.routing import Routing
from triune.delivery.state import Arm, Colour, Driver, EndpointState, Phase
from triune.delivery.store import EndpointStore
from triune.ledger.envelope import event

WARM_REQUESTS = 20
ALIVE_TIMEOUT_SECONDS = 0.5

Observer = Callable[[str, str], None]
"""Told each step (a kebab-case name, then what happens in words) just before and after it."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What a rollout works with."""

    workspace: Workspace
    store: EndpointStore
    routing: Routing
    processes: Processes
    arms: Arms
    port_of: PortOf
    releases: Releases
    log: Log
    own_tests: OwnTests
    examples: Examples
    clock: Clock


@dataclass(frozen=True, slots=True)
class Rollout:
    """How a rollout ended: the endpoint's new state, what the smoke tests said, how long."""

    state: EndpointState
    smoke: tuple[suite.SmokeResult, ...] = ()
    seconds: float = 0.0


class CandidateUnfit(Exception):
    """A candidate failed a test before it saw traffic."""

    def __init__(self, test: str, words: str) -> None:
        super().__init__(f"{test}: {words}")
        self.why = {"test": test, "words": words}


def refusal(release: Release, unfit: CandidateUnfit) -> CheckFailed:
    """The error for the caller of a rollout whose candidate was not fit."""
    return CheckFailed(
        "rollout-refused",
        f"{release.ref} failed {unfit}",
        context=release.bundle.endpoint,
        hint="Users still get what they got before. `triune logs` shows the candidate's.",
    )


def silent(step: str, words: str) -> None:
    """The observer of those who do not look."""


@dataclass(frozen=True)
class Moves:
    """One endpoint's changes. Every public method needs the endpoint's lock to be held."""

    tools: Tools
    observe: Observer = field(default=silent)

    def start(self, current: EndpointState, release: Release, actor: str) -> Rollout:
        """Bring a release to users, blue-green and in this process, from any state.

        Raises
        ------
        CheckFailed: (``rollout-refused``) the candidate is not fit; nothing changed for users.
        Conflict: (``release-already-live``).
        Unavailable: past the smoke tests, the gateway did not answer: the switch is finished
            by the guard or the next command.
        """
        begun = time.monotonic()
        now = self.begin(self.make_room(current, release, actor), release, actor=actor)
        results: tuple[suite.SmokeResult, ...] = ()
        try:
            now = self.warm(self.prepare(now, release), release)
            now, results = self.smoke(now, release)
        except CandidateUnfit as unfit:
            self.refuse(self.tools.store.load(now.endpoint), unfit.why)
            raise refusal(release, unfit) from unfit
        except BaseException as error:
            test = error.reference if isinstance(error, TriuneError) else "interrupted"
            now = self.tools.store.load(now.endpoint)
            self.refuse(now, {"test": test, "words": str(error) or repr(error)})
            raise
        return Rollout(self.switch(now), results, time.monotonic() - begun)

    def roll_back(
        self, current: EndpointState, why: Mapping[str, Any], actor: str
    ) -> EndpointState:
        """Return traffic to the previous release, then stop the one that is left.

        Raises
        ------
        Refused: (``rollback-no-previous``).
        Unavailable: the previous arm is dead and does not start again; nothing changed.
        """
        left = state.roll_back(current, why, mark=new_id(), actor=actor)
        self._revive(current.previous)
        return self._finish_rollback(self._save(left))

    def complete(self, current: EndpointState, why: Mapping[str, Any], actor: str) -> EndpointState:
        """End the rollback window: stop the previous arm."""
        return self._finish_retirement(
            self._save(state.complete(current, why, mark=new_id(), actor=actor))
        )

    def recover(self, current: EndpointState) -> EndpointState:
        """Finish or undo what a process that died left behind.

        A rollout that the controller drives is left where it is until it needs no driver.
        """
        if current.pending is None:
            return current
        finish = self._finishers().get(current.phase)
        if finish is None and current.pending.driver is Driver.CONTROLLER:
            return current
        self.observe("recovering", f"An earlier change died while {current.phase.value}.")
        if current.phase is Phase.STARTING:
            self._announce(current)
        if finish is None:
            return self.refuse(current, {"test": "interrupted", "words": "its command died"})
        return finish(current)

    def _finishers(self) -> Mapping[Phase, Callable[[EndpointState], EndpointState]]:
        """What ends each phase that needs no decision any more."""
        return {
            Phase.REFUSING: self._finish_refusal,
            Phase.SWITCHING: self._finish_switch,
            Phase.WITHDRAWING: self._finish_withdrawal,
            Phase.ROLLING_BACK: self._finish_rollback,
            Phase.RETIRING: self._finish_retirement,
        }

    # The steps towards users, in their order

    def make_room(self, current: EndpointState, release: Release, actor: str) -> EndpointState:
        """End an open rollback window, so that the candidate has a place to stand in."""
        settled = self.recover(current)
        state.check_settled(settled)
        state.check_new(settled, release.ref)
        if settled.previous is None:
            return settled
        self.observe(
            "making-room",
            f"{settled.previous.release} is stopped before the candidate starts, whatever becomes "
            "of it: traffic can no longer return to that release.",
        )
        return self.complete(settled, {"reason": f"superseded by {release.ref}"}, actor)

    def begin(
        self,
        now: EndpointState,
        release: Release,
        *,
        actor: str,
        strategy: Strategy = Strategy.BLUE_GREEN,
        driver: Driver = Driver.COMMAND,
        baseline: bool = False,
        rollout: str | None = None,
    ) -> EndpointState:
        """The rollout exists: its candidate has a place, and ``rollout.started`` is told."""
        fresh = None
        if baseline and now.live:
            fresh = self._arm(now.endpoint, now.live.release, Colour.GREY)
        begun = state.begin(
            now,
            self._arm(now.endpoint, release.ref, state.free_colour(now)),
            mark=rollout or new_id(),
            actor=actor,
            strategy=strategy,
            driver=driver,
            baseline=fresh,
        )
        saved = self._save(begun)
        self._announce(saved)
        return saved

    def _arm(self, endpoint: str, release: str, colour: Colour) -> Arm:
        process = state.process_name(endpoint, colour)
        return Arm(release, colour, self.tools.port_of(process), process)

    def _announce(self, now: EndpointState) -> None:
        previous = now.live.release if now.live else None
        strategy = _pending(now).strategy.value
        self._tell("rollout.started", now, {"previous": previous, "strategy": strategy})

    def prepare(self, now: EndpointState, release: Release) -> EndpointState:
        """Start the candidate's process, and that of a fresh baseline.

        Raises `CandidateUnfit` when one does not start.
        """
        self._announce(now)  # whoever began it may have died before it said so
        for arm in _pending(now).arms:
            self.observe("starting", f"{arm.release} starts as {arm.colour.value}.")
            its = release if arm.release == release.ref else self.tools.releases.get(arm.release)
            process = self.tools.arms.process(its, arm)
            try:
                self.tools.processes.ensure(process)
            except TriuneError as error:
                raise CandidateUnfit("start", error.message) from error
            self.observe("started", f"{arm.process} is ready on port {arm.port}.")
        return self._save(state.advance(now, Phase.WARMING, mark=new_id()))

    def warm(self, now: EndpointState, release: Release) -> EndpointState:
        """Example requests to the candidate and the baseline, so that neither is judged cold.

        Raises `CandidateUnfit` when one is not answered.
        """
        self.observe("warming", f"{WARM_REQUESTS} example requests.")
        for arm in _pending(now).arms:
            with closing(self._client(now, release, arm)) as client:
                for _ in range(WARM_REQUESTS):
                    try:
                        client.infer(client.example)
                    except AssertionError as error:
                        raise CandidateUnfit("warm", str(error)) from error
        self.observe("warmed", "The candidate has answered them.")
        return self._save(state.advance(now, Phase.SMOKING, mark=new_id()))

    def smoke(
        self, now: EndpointState, release: Release
    ) -> tuple[EndpointState, tuple[suite.SmokeResult, ...]]:
        """Run the candidate's smoke tests; raises `CandidateUnfit` when one fails."""
        tests = self._tests(release)
        self.observe("smoking", f"{len(tests)} tests: {', '.join(t.name for t in tests)}.")
        with closing(self._client(now, release, _candidate(now))) as client:
            results = tuple(suite.run(tests, client))
        told = [{"name": r.name, "passed": r.passed, "words": r.words} for r in results]
        self._tell("rollout.smoked", now, {"results": told})
        for result in results:
            if not result.passed:
                raise CandidateUnfit(result.name, result.words)
        self.observe("smoked", f"All {len(results)} tests passed.")
        return now, results

    def shadow(self, now: EndpointState, mirror: int) -> EndpointState:
        """Mirror requests to the candidate; ``mirror`` of 10,000."""
        if now.phase is not Phase.SHADOWING:
            now = self._save(state.advance(now, Phase.SHADOWING, mark=new_id(), mirror=mirror))
        self.tools.routing.publish()
        self._tell("rollout.shadowed", now, {"mirror": _pending(now).mirror})
        self.observe("shadowing", f"Requests are mirrored to {_candidate(now).release}.")
        return now

    def canary(self, now: EndpointState, weight: int) -> EndpointState:
        """Let ``weight`` of 10,000 units reach the candidate."""
        if now.phase is not Phase.CANARY:
            now = self._save(state.advance(now, Phase.CANARY, mark=new_id()))
        if weight > _pending(now).weight:
            now = self._save(state.weigh(now, weight, mark=new_id()))
        self.tools.routing.publish()
        if _pending(now).weight > 0:
            self._tell("rollout.stepped", now, {"weight": _pending(now).weight})
        self.observe("stepped", f"{weight / 100:g} % of the units reach {_candidate(now).release}.")
        return now

    def switch(self, now: EndpointState) -> EndpointState:
        """All traffic moves to the candidate."""
        if now.phase is not Phase.SWITCHING:
            now = self._save(state.advance(now, Phase.SWITCHING, mark=new_id()))
        return self._finish_switch(now)

    def refuse(self, now: EndpointState, why: Mapping[str, Any]) -> EndpointState:
        """Stop a candidate that users have not seen."""
        return self._finish_refusal(self._save(state.refuse(now, why, mark=new_id())))

    def withdraw(self, now: EndpointState, why: Mapping[str, Any], actor: str) -> EndpointState:
        """Return all traffic to the stable release, then stop the candidate."""
        left = state.withdraw(now, why, mark=new_id(), actor=actor)
        return self._finish_withdrawal(self._save(left))

    def _tests(self, release: Release) -> Sequence[suite.SmokeTest]:
        bundle = release.bundle
        table = settings(self.tools.workspace, bundle.endpoint)

        def signature(client: suite.SmokeClient) -> str:  # noqa: ARG001
            self.tools.releases.model(bundle.model)
            if bundle.serving.fallback:
                self.tools.releases.model(bundle.serving.fallback)
            return bundle.model.digest

        return (
            suite.SmokeTest("signature", signature),
            *suite.generic(latency_ms=table.smoke_latency_ms),
            *self.tools.own_tests(release),
        )

    def _client(self, now: EndpointState, release: Release, arm: Arm) -> suite.SmokeClient:
        inputs = release.bundle.serving.inputs
        return suite.SmokeClient(
            arm.port,
            model=now.slug,
            release=arm.release,
            inputs=inputs,
            example=self.tools.examples(release) or suite.made_up(inputs),
        )

    # The steps that recovery repeats: each may have been done before, in part or in whole

    def _finish_refusal(self, now: EndpointState) -> EndpointState:
        pending = _pending(now)
        self.observe("refusing", f"{pending.arm.release}: {pending.why.get('words', '')}")
        for arm in pending.arms:
            self._stop(arm)
        self._tell("rollout.refused", now, dict(pending.why))
        return self._save(state.refused(now))

    def _finish_switch(self, now: EndpointState) -> EndpointState:
        arm = _candidate(now)
        self.observe("switching", f"All traffic of {now.endpoint} moves to {arm.colour.value}.")
        self.tools.routing.publish()
        self.observe("switched", f"Users reach {arm.release}.")
        window = settings_in_force(self.tools.workspace, now.endpoint).rollback_window_s
        until = self.tools.clock.now().timestamp() + window
        previous = now.live.release if now.live else None
        self._tell("rollout.switched", now, {"previous": previous, "colour": arm.colour.value})
        done = self._save(state.switched(now, rollback_until=until))
        if done.pending is not None:
            done = self._finish_retirement(done)
        self.observe("done", state.SENTENCES[done.phase])
        return done

    def _finish_withdrawal(self, now: EndpointState) -> EndpointState:
        self.observe("withdrawing", f"Traffic of {now.endpoint} returns to stable.")
        self.tools.routing.publish()
        self.observe("withdrawn", "No user reaches the candidate any more.")
        self._tell_back(now, now.live)
        return self._finish_retirement(self._save(state.withdrawn(now)))

    def _finish_rollback(self, now: EndpointState) -> EndpointState:
        self.observe("rolling-back", f"Traffic of {now.endpoint} returns.")
        self.tools.routing.publish()
        self.observe("rolled-back", "Users reach the previous release again.")
        self._tell_back(now, now.previous)
        return self._finish_retirement(self._save(state.rolled_back(now)))

    def _tell_back(self, now: EndpointState, to: Arm | None) -> None:
        why = _pending(now).why
        since = why.get("since")
        back = self.tools.clock.now().timestamp()
        took = {} if since is None else {"seconds": round(back - float(since), 3)}
        told = {"to": to.release if to else None, **why, **took}
        self._tell("rollout.rolled-back", now, told)

    def _finish_retirement(self, now: EndpointState) -> EndpointState:
        pending = _pending(now)
        self.tools.routing.publish()
        for arm in pending.arms:
            self.observe("retiring", f"{arm.process} ends its requests.")
            self.tools.routing.drain(arm)
            self._stop(arm)
        if pending.why:
            stayed = now.live.release if now.live else None
            told = {"stopped": pending.arm.release, **pending.why}
            self._tell("rollout.completed", now, told, subject=stayed)
        done = self._save(state.retired(now))
        self.observe("retired", f"{pending.arm.process} is stopped.")
        return done

    def _stop(self, arm: Arm) -> None:
        self.tools.processes.remove(arm.process)
        self.tools.arms.forget(arm)

    def _revive(self, arm: Arm | None) -> None:
        """Start an arm again that traffic is to return to, should it be dead."""
        if arm is None or ready("127.0.0.1", arm.port, timeout=ALIVE_TIMEOUT_SECONDS)[0]:
            return
        self.observe("reviving", f"{arm.process} is dead and starts again.")
        release = self.tools.releases.get(arm.release)
        try:
            self.tools.processes.ensure(self.tools.arms.process(release, arm))
        except Unavailable as error:
            raise Unavailable(
                "rollback-previous-dead",
                f"the previous release does not start: {error.message}",
                context=arm.process,
                hint="Start a rollout of a release that works: `triune rollout start`.",
            ) from error

    def _save(self, now: EndpointState) -> EndpointState:
        self.observe(f"saving-{now.phase.value}", "")
        saved = self.tools.store.save(now)
        self.observe(f"saved-{now.phase.value}", "")
        return saved

    def _tell(
        self,
        kind: str,
        now: EndpointState,
        payload: Mapping[str, Any],
        *,
        subject: str | None = None,
    ) -> None:
        pending = _pending(now)
        first = pending.mark == pending.rollout
        self.tools.log.append(
            event(
                kind,
                subject or pending.arm.release,
                workspace=self.tools.workspace.name,
                actor=pending.actor,
                payload={"endpoint": now.endpoint, "rollout": pending.rollout, **payload},
                causes=() if first else (pending.rollout,),
                identifier=pending.mark,
            )
        )


def _pending(now: EndpointState) -> state.Pending:
    if now.pending is None:
        raise AssertionError("a step without a change under way")
    return now.pending


def _candidate(now: EndpointState) -> Arm:
    return _pending(now).arm
