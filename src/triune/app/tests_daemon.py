"""The daemon that keeps tests live: their sums up to date, their endpoints as their events say,
and winners promoted where a test says ``promote = "automatic"``.

All of it follows from the ledger: killed at any line, the next one goes on. What it promotes at an
endpoint goes through the rollout that the test's candidate is in, which Temporal drives.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from triune.app import daemon
from triune.app.context import Context
from triune.app.guard import present
from triune.core.abtest_config import Promotion
from triune.core.errors import TriuneError
from triune.core.files import locked
from triune.delivery.abtest.decide import Action
from triune.delivery.abtest.runs import Run
from triune.delivery.abtest.service import ABTests

NAME = "tests"
ACTOR = "service:tests"
PAUSE_SECONDS = 0.5
LOOK_SECONDS = 10.0
"""Between two judgements of a test."""

OUTCOMES_DAYS = 30.0
"""How long after its end a test's late outcomes are still counted."""


def work(context: Context, stop: threading.Event, ready: Callable[[], None]) -> None:
    """Keep tests live until told to stop. A second one waits for the first to end."""
    with locked(context.workspace.run_folder / f"{NAME}.lock"):
        keeper = Keeper(context.abtests, daemon.tell)
        ready()
        while not stop.is_set():
            keeper.turn()
            stop.wait(PAUSE_SECONDS)


@dataclass
class Keeper:
    """Takes one turn after the other over all tests."""

    tests: ABTests
    tell: Callable[[str], None]
    looked: dict[str, float] = field(default_factory=dict)
    settled: set[str] = field(default_factory=set)

    def turn(self) -> None:
        """Look after every test once; what goes wrong with one does not keep the others."""
        try:
            found = self.tests.runs().all
        except TriuneError as error:
            self.tell(f"{error.reference}: {error.message}")
            return
        for run in found:
            try:
                self._keep(run)
            except TriuneError as error:
                self.tell(f"{run.name}: {error.reference}: {error.message}")

    def _keep(self, run: Run) -> None:
        if run.id not in self.settled:
            self.tests.mend(run)
            if not run.running:
                self.settled.add(run.id)
        if self._old(run):
            return
        self.tests.catch_up(run)
        if run.running:
            self._judge(run)

    def _old(self, run: Run) -> bool:
        now = self.tests.clock.now()
        return run.ended is not None and (now - run.ended).days >= OUTCOMES_DAYS

    def _judge(self, run: Run) -> None:
        """Stop a test whose candidate was rolled back; end one that its evidence decides, when it
        may be ended without a person."""
        now = time.monotonic()
        if now < self.looked.get(run.id, 0.0) + LOOK_SECONDS and run.id in self.looked:
            return
        self.looked[run.id] = now
        standing = self.tests.standing(run)
        decision = standing.decision
        if standing.readings.alarm:
            self.tests.stop(run.name, standing.readings.alarm, actor=ACTOR)
            self.tell(f"{run.name}: stopped: {standing.readings.alarm}")
        elif run.promotion is Promotion.AUTOMATIC and decision.action in (
            Action.PROMOTE,
            Action.STOP,
        ):
            ended = self.tests.decide(run.name, actor=ACTOR)
            self.tell(f"{run.name}: {ended.winner or 'nobody'} won: {ended.why}")


if __name__ == "__main__":
    daemon.main(NAME, work, present)
