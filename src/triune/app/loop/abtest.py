"""The loop's steps about an A/B test of two releases, which runs while others go on."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from triune.app.loop.model import Step
from triune.app.loop.rolling import ACTOR, ROLLOUT_SECONDS, Facts, roll_out
from triune.core.errors import NotFound, Unavailable
from triune.core.rollout_config import Strategy
from triune.core.waiting import wait_until
from triune.delivery.abtest.decide import Action
from triune.delivery.abtest.declaring import of_versions

if TYPE_CHECKING:
    from triune.app.loop.steps import Play
    from triune.delivery.abtest.model import Declaration
    from triune.delivery.abtest.standing import TestStanding

TEST = "first-or-better"
PLANNED_UNITS, MINIMUM_UNITS = 1_200, 300
TEST_SECONDS = 240.0
LOOK_SECONDS = 2.0


def begin(play: Play) -> Facts:
    """Half of the units get release B beside A; the steps that follow go on meanwhile."""
    clear(play)
    tests, declared = play.context.abtests, _declared(play)
    run = tests.start(declared, declared.hypothesis, actor=ACTOR)
    wait_until(
        lambda: tests.period(run) is not None,
        timeout=ROLLOUT_SECONDS,
        what=f"the test {TEST} takes its units",
        hint="`triune rollout status` shows where its candidate stands.",
    )
    play.note(f"{run.candidate} gets half of the units")
    return {"test": run.name, "run": run.id, "release": run.candidate}


def decide(play: Play) -> Facts:
    """Await what the evidence says; the winner gets all units through its rollout."""
    run, release = play.fact(Step.TEST, "test"), str(play.fact(Step.TEST, "release"))
    begin = time.monotonic()
    standing = _awaited(play, run)
    ended = None
    if standing.decision.action in (Action.PROMOTE, Action.STOP):
        ended = play.context.abtests.decide(run, actor=ACTOR)
        play.note(f"{ended.winner or 'nobody'} won: {ended.why}")
    else:
        play.context.abtests.stop(run, f"no decision: {standing.decision.reason}", actor=ACTOR)
    if ended is not None and ended.winner:
        _await_live(play, release)
    else:  # the loop's check tells; the steps that follow need B
        roll_out(
            play.context.rollouts, play.table.endpoint, release, Strategy.BLUE_GREEN, play.note
        )
    return {
        "release": release,
        "winner": (ended.winner if ended else None) or "",
        "verdict": standing.decision.verdict.value,
        "reason": standing.decision.reason,
        "units": standing.analysis.units,
        "hopped": standing.counts["hopped"],
        "troubles": list(standing.troubles),
        "explained": standing.sentences,
        "agrees": play.context.abtests.compare(standing).agrees,
        "seconds": round(time.monotonic() - begin, 3),
    }


def clear(play: Play) -> None:
    """End the test that a killed loop has left."""
    try:
        left = play.context.abtests.runs().find(TEST)
    except NotFound:
        return
    if left.running and left.actor == ACTOR:
        play.context.abtests.stop(TEST, "the loop that began it was killed", actor=ACTOR)


def _declared(play: Play) -> Declaration:
    control, candidate = (
        int(str(play.fact(Step.REGISTER, part)["model"]).rpartition("@")[2])
        for part in ("first", "better")
    )
    whole = of_versions(
        play.table.endpoint,
        control,
        candidate,
        outcome=None,
        name=TEST,
        hypothesis="what is known of delays so far makes better predictions than the schedule",
    )
    # Slowness is looked after by the rollout that the candidate is in.
    return replace(
        whole,
        metrics=tuple(m for m in whole.metrics if not whole.held_to_margin(m)),
        planned_units=PLANNED_UNITS,
        minimum_units=MINIMUM_UNITS,
        cycle_days=0.0,
    )


def _awaited(play: Play, name: str) -> TestStanding:
    """How the test stands once it has a decision, or has taken too long."""
    looks: list[TestStanding] = []

    def decided() -> bool:
        looks[:] = [play.context.abtests.status(name)]
        play.note(f"{looks[0].analysis.units} units in the smaller arm: {looks[0].decision.reason}")
        return looks[0].decision.action in (Action.PROMOTE, Action.STOP)

    try:
        wait_until(
            decided,
            timeout=TEST_SECONDS,
            what=f"the test {name} decides",
            first_pause=LOOK_SECONDS,
            longest_pause=LOOK_SECONDS,
        )
    except Unavailable as late:
        if late.reference != "wait-timed-out":
            raise
    return looks[0]


def _await_live(play: Play, release: str) -> None:
    def serves() -> bool:
        (status,) = play.context.delivery.status(play.table.endpoint)
        return status.live is not None and status.live.release == release

    wait_until(
        serves,
        timeout=ROLLOUT_SECONDS,
        what=f"{release} takes over",
        hint="`triune rollout status` shows where it stands.",
    )
