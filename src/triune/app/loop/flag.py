"""The loop's step about a flag that is flipped while requests are answered."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from typing import TYPE_CHECKING, Any

from triune.app.loop.rolling import ACTOR, Facts
from triune.app.replay import service
from triune.core.errors import TriuneError
from triune.core.waiting import wait_until

if TYPE_CHECKING:
    from triune.app.loop.steps import Play

FLAG = "late-warning"
FLIP_SECONDS = 30.0
EVALUATIONS = 2_000
"""Before the flag is flipped, and after."""
PAUSE_SECONDS = 0.0005
"""Between two: what is measured is how soon a client knows, not how fast it is."""
UNITS = 500
_OFF = {
    "state": "ENABLED",
    "variants": {"on": True, "off": False},
    "defaultVariant": "off",
    "targeting": {},
}


def flip(play: Play) -> Facts:
    """Flip a flag while requests are answered, and see when a client of it knows."""
    flags = play.context.flags
    flags.edit(FLAG, _OFF, "the loop begins with it off", actor=ACTOR)
    with _evaluating(play) as seen:
        _await(seen, lambda: seen.answers[False] >= EVALUATIONS, "the flag is evaluated")
        began = time.monotonic()
        flags.default(FLAG, "on", "warn passengers of late flights", actor=ACTOR)
        told = time.monotonic()
        _await(seen, lambda: seen.first_on is not None, "the change arrives")
        _await(seen, lambda: seen.answers[True] >= EVALUATIONS, "it is evaluated anew")
    known = (seen.first_on or told) - told
    play.note(f"known {max(known, 0.0) * 1e3:.0f} ms after it was in the ledger")
    return {
        "flag": FLAG,
        "evaluations": sum(seen.answers.values()),
        "errors": seen.errors,
        "seconds": round(max(known, 0.0), 4),
        "changed_in": round(told - began, 4),
        "back": seen.back,
    }


@dataclass
class Evaluated:
    """What a client of the flag saw. ``back``: answers of before that came after one of since."""

    answers: dict[bool, int] = field(default_factory=lambda: {False: 0, True: 0})
    errors: int = 0
    back: int = 0
    first_on: float | None = None
    failed: BaseException | None = None

    def take(self, details: Any) -> None:
        if details.error_code is not None:
            self.errors += 1
            return
        self.answers[bool(details.value)] += 1
        if details.value and self.first_on is None:
            self.first_on = time.monotonic()
        if not details.value and self.first_on is not None:
            self.back += 1


@contextmanager
def _evaluating(play: Play) -> Iterator[Evaluated]:
    """A client evaluates the flag for one unit of the traffic after the other, all the while."""
    from openfeature import api

    import triune

    seen, stop = Evaluated(), threading.Event()
    provider = triune.flag_provider(workspace=play.context.workspace.root)
    api.set_provider_and_wait(provider, domain="loop")
    thread = threading.Thread(target=_evaluate, args=(_units(play), seen, stop), daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()
        provider.shutdown()


def _units(play: Play) -> list[str]:
    found: dict[str, None] = {}
    for request in service.traffic(play.context.workspace, play.table.endpoint)():
        found[request.unit] = None
        if len(found) >= UNITS:
            break
    return list(found)


def _evaluate(units: Sequence[str], seen: Evaluated, stop: threading.Event) -> None:
    from openfeature import api
    from openfeature.evaluation_context import EvaluationContext

    client = api.get_client("loop")
    try:
        for unit in cycle(units):
            if stop.is_set():
                return
            seen.take(client.get_boolean_details(FLAG, False, EvaluationContext(unit)))
            stop.wait(PAUSE_SECONDS)
    except BaseException as error:
        seen.failed = error


def _await(seen: Evaluated, done: Callable[[], bool], what: str) -> None:
    def looked() -> bool:
        if seen.failed is not None:
            raise TriuneError(
                "loop-flag-failed",
                f"evaluating the flag ended with {type(seen.failed).__name__}: {seen.failed}",
                hint="`triune logs flags` shows what the flag server saw.",
            )
        return done()

    wait_until(looked, timeout=FLIP_SECONDS, what=what, hint="`triune logs flags` shows more.")
