"""Rollouts as the loop's steps use them: ordered, followed phase by phase, told as facts."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from triune.core.errors import Conflict, NotFound
from triune.core.rollout_config import Strategy
from triune.core.waiting import wait_until
from triune.delivery.rollout.explain import explain
from triune.delivery.rollout.view import RolloutView

if TYPE_CHECKING:
    from triune.delivery.rollout.model import Ticket
    from triune.delivery.rollout.service import Rollouts

ACTOR = "service:loop"
ROLLOUT_SECONDS = 180.0
_LOOK_SECONDS = 0.05
_HINT = "`triune rollout status` shows where it stands, `triune logs controller` what drives it."

Facts = dict[str, Any]
Note = Callable[[str], None]


def roll_out(
    rollouts: Rollouts, endpoint: str, release: str, strategy: Strategy, note: Note
) -> Facts:
    """Take a release through a rollout and wait until users are wholly on one release.

    Nothing is to be done when a resumed loop finds it live already.

    Raises
    ------
    Unavailable: (``wait-timed-out``) it has not come to an end.
    """
    begin = time.monotonic()
    try:
        ticket = rollouts.start(endpoint, release, strategy=strategy, actor=ACTOR)
    except Conflict as conflict:
        if conflict.reference != "release-already-live":
            raise
        return {"release": release, "outcome": "promoted", "why": {}, "seconds": 0.0}
    seen = _followed(rollouts, ticket, note)
    return _facts(seen, rollouts.users(seen)) | {"seconds": round(time.monotonic() - begin, 3)}


def clear_way(rollouts: Rollouts, endpoint: str, note: Note) -> None:
    """End a rollout that a killed loop has left under way; other people's are left alone."""
    try:
        seen = rollouts.view(endpoint)
    except NotFound:
        return
    if seen.over or seen.actor != ACTOR:
        return
    note(f"a loop that was killed left {seen.release} as {seen.phase}: it is aborted")
    seen = rollouts.abort(endpoint, "the loop that began it was killed", actor=ACTOR)
    wait_until(
        lambda: rollouts.view(endpoint, seen.rollout).over,
        timeout=ROLLOUT_SECONDS,
        what=f"the rollout of {seen.release} ends",
        hint=_HINT,
    )


def _followed(rollouts: Rollouts, ticket: Ticket, note: Note) -> RolloutView:
    told = ""
    views: list[RolloutView] = []

    def over() -> bool:
        nonlocal told
        views[:] = [rollouts.view(ticket.endpoint, ticket.rollout)]
        words = _words(views[0])
        if words != told:
            note(words)
            told = words
        return views[0].over

    wait_until(
        over,
        timeout=ROLLOUT_SECONDS,
        what=f"the rollout {ticket.rollout} ends",
        longest_pause=_LOOK_SECONDS,
        hint=_HINT,
    )
    return views[0]


def _words(seen: RolloutView) -> str:
    if seen.over:
        return f"{seen.outcome}: {_reason(seen)}" if _reason(seen) else seen.outcome
    if seen.phase == "canary" and seen.weight:
        return f"{seen.weight:g} % of the units reach {seen.release}"
    return seen.sentence


def _reason(seen: RolloutView) -> str:
    return str(seen.why.get("reason") or seen.why.get("words") or seen.reason)


def _facts(seen: RolloutView, users: int) -> Facts:
    """What a step keeps: enough for the checks, and for the report after the next rollout has
    taken the place of this one's record."""
    return {
        "release": seen.release,
        "stable": seen.stable,
        "rollout": seen.rollout,
        "began": seen.started,
        "ended": time.time(),
        "outcome": seen.outcome,
        "why": dict(seen.why),
        "verdict": seen.verdict,
        "reason": _reason(seen),
        "e": seen.e,
        "needed": seen.needed,
        "exposed": seen.exposed,
        "exposed_errors": seen.exposed_errors,
        "users": users,
        "looks": seen.looks,
        "compared": dict(seen.shadow) if seen.shadow else None,
        "explained": explain(seen, users),
    }
