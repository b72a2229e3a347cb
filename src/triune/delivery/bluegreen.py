"""Blue-green: a release starts in the free colour, proves itself, and gets all traffic at once.

Each step first makes its intent durable (`EndpointStore.save`), then acts, and acting twice
does no harm. So kill -9 at any line leaves users on the old release or on the new one, and
`BlueGreen.recover`, called by the next command and by the guard, finishes what was past the
smoke tests and undoes what was before.
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
from triune.core.workspace import Workspace
from triune.delivery import smoke, state
from triune.delivery.client import ready
from triune.delivery.ports import Arms, Examples, Log, OwnTests, PortOf, Processes
from triune.delivery.release import Release
from triune.delivery.releases import Releases, settings
from triune.delivery.routing import Routing
from triune.delivery.state import BEFORE_TRAFFIC, Arm, EndpointState, Phase
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
    smoke: tuple[smoke.SmokeResult, ...] = ()
    seconds: float = 0.0


class CandidateUnfit(Exception):
    """A candidate failed a test before it saw traffic."""

    def __init__(self, test: str, words: str) -> None:
        super().__init__(f"{test}: {words}")
        self.test = test
        self.words = words


def _silent(step: str, words: str) -> None:
    """The observer of those who do not look."""


@dataclass(frozen=True)
class BlueGreen:
    """One endpoint's changes. Every public method needs the endpoint's lock to be held."""

    tools: Tools
    observe: Observer = field(default=_silent)

    def start(self, current: EndpointState, release: Release, actor: str) -> Rollout:
        """Bring a release to users, from any state; see the module's words for the steps.

        Raises
        ------
        CheckFailed: (``rollout-refused``) the candidate is not fit; nothing changed for users.
        Conflict: (``release-already-live``).
        Unavailable: past the smoke tests, the gateway did not answer: the switch is finished
            by the guard or the next command.
        """
        begin = time.monotonic()
        now = self._begin(self._make_room(current, release, actor), release, actor)
        results: tuple[smoke.SmokeResult, ...] = ()
        try:
            now = self._start_candidate(now, release)
            now = self._warm(now, release)
            now, results = self._smoke(now, release)
        except CandidateUnfit as unfit:
            why = {"test": unfit.test, "words": unfit.words}
            self._refuse(now, why)
            raise CheckFailed(
                "rollout-refused",
                f"{release.ref} failed {unfit.test}: {unfit.words}",
                context=release.bundle.endpoint,
                hint="Users still get what they got before. `triune logs` shows the candidate's.",
            ) from unfit
        except BaseException as error:
            test = error.reference if isinstance(error, TriuneError) else "interrupted"
            now = self.tools.store.load(now.endpoint)
            self._refuse(now, {"test": test, "words": str(error) or repr(error)})
            raise
        now = self._finish_switch(self._save(state.advance(now, Phase.SWITCHING, mark=new_id())))
        return Rollout(now, results, time.monotonic() - begin)

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
        """Finish or undo what a process that died left behind; the settled state."""
        if current.pending is None:
            return current
        self.observe("recovering", f"An earlier change died while {current.phase.value}.")
        if current.phase is Phase.STARTING:
            self._announce(current)
        if current.phase in BEFORE_TRAFFIC:
            return self._refuse(current, {"test": "interrupted", "words": "its command died"})
        finish = {
            Phase.REFUSING: self._finish_refusal,
            Phase.SWITCHING: self._finish_switch,
            Phase.ROLLING_BACK: self._finish_rollback,
            Phase.RETIRING: self._finish_retirement,
        }
        return finish[current.phase](current)

    # The steps towards users

    def _make_room(self, current: EndpointState, release: Release, actor: str) -> EndpointState:
        settled = self.recover(current)
        state.check_new(settled, release.ref)
        if settled.previous is None:
            return settled
        self.observe(
            "making-room",
            f"{settled.previous.release} is stopped before the candidate starts, whatever becomes "
            "of it: traffic can no longer return to that release.",
        )
        return self.complete(settled, {"reason": f"superseded by {release.ref}"}, actor)

    def _begin(self, now: EndpointState, release: Release, actor: str) -> EndpointState:
        colour = state.free_colour(now)
        process = state.process_name(now.endpoint, colour)
        arm = Arm(release.ref, colour, self.tools.port_of(process), process)
        begun = self._save(state.begin(now, arm, mark=new_id(), actor=actor))
        self._announce(begun)
        return begun

    def _announce(self, now: EndpointState) -> None:
        previous = now.live.release if now.live else None
        self._tell("rollout.started", now, {"previous": previous, "strategy": "blue-green"})

    def _start_candidate(self, now: EndpointState, release: Release) -> EndpointState:
        arm = _candidate(now)
        self.observe("starting", f"{release.ref} starts as {arm.colour.value}.")
        try:
            self.tools.processes.ensure(self.tools.arms.process(release, arm))
        except TriuneError as error:
            raise CandidateUnfit("start", error.message) from error
        self.observe("started", f"{arm.process} is ready on port {arm.port}.")
        return self._save(state.advance(now, Phase.WARMING, mark=new_id()))

    def _warm(self, now: EndpointState, release: Release) -> EndpointState:
        self.observe("warming", f"{WARM_REQUESTS} example requests.")
        with closing(self._client(now, release)) as client:
            for _ in range(WARM_REQUESTS):
                try:
                    client.infer(client.example)
                except AssertionError as error:
                    raise CandidateUnfit("warm", str(error)) from error
        self.observe("warmed", "The candidate has answered them.")
        return self._save(state.advance(now, Phase.SMOKING, mark=new_id()))

    def _smoke(
        self, now: EndpointState, release: Release
    ) -> tuple[EndpointState, tuple[smoke.SmokeResult, ...]]:
        tests = self._tests(release)
        self.observe("smoking", f"{len(tests)} tests: {', '.join(t.name for t in tests)}.")
        with closing(self._client(now, release)) as client:
            results = tuple(smoke.run(tests, client))
        told = [{"name": r.name, "passed": r.passed, "words": r.words} for r in results]
        self._tell("rollout.smoked", now, {"results": told})
        for result in results:
            if not result.passed:
                raise CandidateUnfit(result.name, result.words)
        self.observe("smoked", f"All {len(results)} tests passed.")
        return now, results

    def _tests(self, release: Release) -> Sequence[smoke.SmokeTest]:
        bundle = release.bundle
        table = settings(self.tools.workspace, bundle.endpoint)

        def signature(client: smoke.SmokeClient) -> str:  # noqa: ARG001
            self.tools.releases.model(bundle.model)
            if bundle.serving.fallback:
                self.tools.releases.model(bundle.serving.fallback)
            return bundle.model.digest

        return (
            smoke.SmokeTest("signature", signature),
            *smoke.generic(latency_ms=table.smoke_latency_ms),
            *self.tools.own_tests(release),
        )

    def _client(self, now: EndpointState, release: Release) -> smoke.SmokeClient:
        inputs = release.bundle.serving.inputs
        return smoke.SmokeClient(
            _candidate(now).port,
            model=now.slug,
            release=release.ref,
            inputs=inputs,
            example=self.tools.examples(release) or smoke.made_up(inputs),
        )

    # The steps that recovery repeats: each may have been done before, in part or in whole

    def _refuse(self, now: EndpointState, why: Mapping[str, Any]) -> EndpointState:
        return self._finish_refusal(self._save(state.refuse(now, why, mark=new_id())))

    def _finish_refusal(self, now: EndpointState) -> EndpointState:
        pending = _pending(now)
        self.observe("refusing", f"{pending.arm.release}: {pending.why.get('words', '')}")
        self._stop(pending.arm)
        self._tell("rollout.refused", now, dict(pending.why))
        return self._save(state.refused(now))

    def _finish_switch(self, now: EndpointState) -> EndpointState:
        arm = _candidate(now)
        self.observe("switching", f"All traffic of {now.endpoint} moves to {arm.colour.value}.")
        self.tools.routing.publish()
        self.observe("switched", f"Users reach {arm.release}.")
        window = settings(self.tools.workspace, now.endpoint).rollback_window_s
        until = self.tools.clock.now().timestamp() + window
        previous = now.live.release if now.live else None
        self._tell("rollout.switched", now, {"previous": previous, "colour": arm.colour.value})
        done = self._save(state.switched(now, rollback_until=until))
        self.observe("done", state.SENTENCES[done.phase])
        return done

    def _finish_rollback(self, now: EndpointState) -> EndpointState:
        pending = _pending(now)
        self.observe("rolling-back", f"Traffic of {now.endpoint} returns.")
        self.tools.routing.publish()
        back = self.tools.clock.now()
        self.observe("rolled-back", "Users reach the previous release again.")
        to = now.previous.release if now.previous else None
        since = pending.why.get("since")
        took = {} if since is None else {"seconds": round(back.timestamp() - float(since), 3)}
        self._tell("rollout.rolled-back", now, {"to": to} | dict(pending.why) | took)
        return self._finish_retirement(self._save(state.rolled_back(now)))

    def _finish_retirement(self, now: EndpointState) -> EndpointState:
        pending = _pending(now)
        self.observe("retiring", f"{pending.arm.process} ends its requests.")
        self.tools.routing.publish()
        self.tools.routing.drain(pending.arm)
        self._stop(pending.arm)
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
