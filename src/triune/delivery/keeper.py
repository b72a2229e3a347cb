"""The guard's loop: one thread for each endpoint keeps it what its state file says.

It finishes what dead commands left, starts arms again that nobody runs, makes the gateway
follow, watches the live arm during the rollback window and the candidate of a canary, and goes
back by itself when one of them dies or fails outright. What a canary's statistics decide is not
its business: that is the controller's.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

from triune.core.config import EndpointTable
from triune.core.errors import Conflict, TriuneError, Unavailable
from triune.delivery import guard
from triune.delivery.client import ready
from triune.delivery.guard import Action, Check, ErrorRate, Reading, Streak
from triune.delivery.releases import settings_in_force
from triune.delivery.service import Delivery
from triune.delivery.state import Arm, EndpointState, Phase

ACTOR = "service:guard"
REPAIR_SECONDS = 2.0
SCAN_SECONDS = 0.5

Tell = Callable[[str], None]


class Keeper:
    """Keeps one endpoint. `step` looks once and acts; `run` does so until it is stopped."""

    def __init__(self, delivery: Delivery, endpoint: str, tell: Tell) -> None:
        self._delivery = delivery
        self._endpoint = endpoint
        self._tell = tell
        self._watched: Arm | None = None
        self._streak = Streak()
        self._errors = ErrorRate()
        self._dead: frozenset[str] = frozenset()
        self._repair_at = 0.0

    def run(self, stop: threading.Event) -> None:
        """Look every ``health_interval_ms`` until ``stop`` is set; errors are told, not fatal."""
        self._attempt(self.restore)
        while not stop.wait(self._interval()):
            self._attempt(self.step)

    def restore(self) -> None:
        """After a start: everything that should run and does not is started at once."""
        self._delivery.repair(self._endpoint, self._delivery.dead(self._endpoint))
        self._repair_at = time.monotonic() + REPAIR_SECONDS

    def step(self) -> None:
        """One look, and what follows from it."""
        now = self._delivery.tools.store.load(self._endpoint)
        if now.phase is Phase.WATCHING or now.phase is Phase.CANARY:
            self._watch(now)
        elif now.pending is not None and now.phase is not Phase.SHADOWING:
            self._delivery.recover(self._endpoint)
        if self._streak.failures == 0 and time.monotonic() >= self._repair_at:
            self._repair_at = time.monotonic() + REPAIR_SECONDS
            self._repair()

    def _watch(self, now: EndpointState) -> None:
        """The arm that is new to users: the live one of a window, the candidate of a canary."""
        arm = now.pending.arm if now.pending else now.live
        if arm is None or (now.pending and now.pending.weight == 0):
            return
        if arm != self._watched:
            self._watched, self._streak, self._errors = arm, Streak(), ErrorRate()
        reading = self._read(arm)
        if reading is not None:
            self._streak = self._streak.after(reading)
        action = guard.decide(
            self._streak,
            now=self._time(),
            until=math.inf if now.pending else now.rollback_until or 0.0,
            limit=self._settings().health_failures,
        )
        if action is Action.ROLL_BACK:
            self._go_back(arm, canary=now.pending is not None)
        elif action is Action.COMPLETE:
            self._tell(f"{self._endpoint}: the rollback window has passed, {arm.release} stays")
            self._delivery.complete(
                self._endpoint, "the rollback window passed", actor=ACTOR, expect=arm
            )

    def _read(self, arm: Arm) -> Reading | None:
        healthy, words = ready("127.0.0.1", arm.port, timeout=guard.HEALTH_TIMEOUT_SECONDS)
        health = Reading(self._time(), Check.HEALTH, healthy, words)
        return guard.worst(health, self._error_reading(arm))

    def _error_reading(self, arm: Arm) -> Reading | None:
        try:
            counters = self._delivery.tools.routing.gateway.counters(arm.upstream)
        except Unavailable:
            # No reading rather than a bad one: a gateway that restarts says nothing of the arm.
            self._errors = ErrorRate()
            return None
        self._errors = self._errors.after(self._time(), counters)
        return self._errors.reading(self._time())

    def _go_back(self, arm: Arm, *, canary: bool) -> None:
        streak, last = self._streak, self._streak.last
        evidence = {
            "check": last.check.value if last else "",
            "since": streak.since,
            "failures": streak.failures,
            "last_error": last.words if last else "",
        }
        self._tell(f"{self._endpoint}: {arm.release} fails ({evidence['last_error']}), going back")
        leave = self._delivery.withdraw if canary else self._delivery.rollback
        leave(
            self._endpoint,
            f"{streak.failures} failed {evidence['check']} checks: {evidence['last_error']}",
            actor=ACTOR,
            evidence=evidence,
            expect=arm,
        )
        self._streak = Streak()

    def _repair(self) -> None:
        """Start again what was found dead twice: the supervisor's own restart comes first."""
        dead = self._delivery.dead(self._endpoint)
        twice = dead & self._dead
        self._dead = dead
        if twice:
            self._tell(f"{self._endpoint}: {', '.join(sorted(twice))} runs no more, starting again")
        self._delivery.repair(self._endpoint, twice)

    def _attempt(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Conflict as error:
            # A command is at work on this endpoint: it looks after it.
            if error.reference != "rollout-in-progress":
                self._tell(f"{self._endpoint}: {error.reference}: {error.message}")
        except TriuneError as error:
            self._tell(f"{self._endpoint}: {error.reference}: {error.message}")

    def _interval(self) -> float:
        return self._settings().health_interval_ms / 1000

    def _settings(self) -> EndpointTable:
        return settings_in_force(self._delivery.tools.workspace, self._endpoint)

    def _time(self) -> float:
        return self._delivery.tools.clock.now().timestamp()


class Guard:
    """A `Keeper` in a thread of its own for every endpoint that was ever released to."""

    def __init__(self, delivery: Delivery, tell: Tell) -> None:
        self._delivery = delivery
        self._tell = tell
        self._threads: dict[str, threading.Thread] = {}

    def run(self, stop: threading.Event) -> None:
        """Guard until ``stop`` is set; every thread has ended when this returns."""
        while not stop.is_set():
            for now in self._states():
                thread = self._threads.get(now.endpoint)
                if thread is None or not thread.is_alive():
                    self._threads[now.endpoint] = self._keep(now.endpoint, stop)
            stop.wait(SCAN_SECONDS)
        for thread in self._threads.values():
            thread.join()

    def _keep(self, endpoint: str, stop: threading.Event) -> threading.Thread:
        keeper = Keeper(self._delivery, endpoint, self._tell)
        thread = threading.Thread(target=keeper.run, args=(stop,), name=f"keep-{endpoint}")
        thread.start()
        return thread

    def _states(self) -> tuple[EndpointState, ...]:
        try:
            return self._delivery.tools.store.all()
        except TriuneError as error:
            self._tell(f"{error.reference}: {error.message}")
            return ()
