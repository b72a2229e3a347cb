"""`triune rollout watch`: a rollout until it is over, live in a terminal, as lines elsewhere."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from triune.cli.output import print_facts, screen
from triune.cli.rollout_looks import Looks
from triune.cli.rollout_screen import Size, picture
from triune.cli.rollout_standstill import Standstill
from triune.cli.rollout_view import facts, outcome, paused, standing
from triune.cli.rollout_words import clock, evidence, percent, sentence

if TYPE_CHECKING:
    from rich.console import Console

    from triune.delivery.rollout.view import RolloutView
    from triune.ledger.envelope import Event

POLL_SECONDS = 0.25
LAST_LOOK_SECONDS = 5.0
"""How long the last look of a rollout that is over may take to reach the ledger."""
_ONCE_HEIGHT = 30

Ask = Callable[[], "RolloutView"]
"""The watched rollout as it stands."""

Seen = tuple["RolloutView", "list[Event]"]


def stream(ask: Ask, looks: Looks, *, poll: float = POLL_SECONDS) -> Iterator[Seen]:
    """The view again and again, each time with the looks that are new, until it is over and the
    last look has been given."""
    known, ended = 0, None
    while True:
        view = ask()
        new = looks.new()
        known = max([known, *(event.payload.get("number", 0) for event in new)])
        yield view, new
        if view.over:
            ended = ended or time.monotonic()
            late = time.monotonic() - ended > LAST_LOOK_SECONDS
            if known >= view.looks or late or looks.trouble:
                return
        time.sleep(poll)


def watch_json(ask: Ask, looks: Looks, say: Callable[[str], None]) -> None:
    """One JSON object in a line for each look, from the rollout's first."""
    for _, new in stream(ask, looks):
        for event in new:
            say(json.dumps(look_as_dict(event), ensure_ascii=False))


def look_as_dict(event: Event) -> dict[str, Any]:
    """A look as the object that ``--json`` prints; its time is in ISO 8601, UTC."""
    return {"time": event.at.isoformat(), "kind": event.kind, **event.payload}


def watch_lines(ask: Ask, looks: Looks, say: Callable[[str], None], standstill: Standstill) -> None:
    """A line for each phase, pause and look, for a standstill, and for how it ended."""
    before: tuple[str, object] | None = None
    trouble = ""
    for view, new in stream(ask, looks):
        stands = (view.phase, view.paused)
        if stands != before and not view.over:
            say(f"{view.phase}: paused {paused(view)}" if view.paused else standing(view))
        before = stands
        for event in new:
            say(line(event))
        told, trouble = trouble, standstill(view)
        if trouble and trouble != told:
            say(f"waiting: {trouble}")
    say(outcome(view))


def line(event: Event) -> str:
    """A look in a line."""
    payload = event.payload
    at, verdict, reason = clock(event.time / 1e6), payload["verdict"], payload.get("reason", "")
    if "number" not in payload:
        return f"{at}  {payload.get('pairs', 0)} answers compared  {verdict}: {reason}"
    reading = payload["reading"]
    arms = reading.get("gap") or ", ".join(
        f"{name} {reading[f'{key}_errors']}/{reading[key]}"
        for name, key in (("candidate", "candidate"), ("stable", "control"))
    )
    e, needed = evidence(payload["e"]), evidence(payload["needed"])
    return (
        f"{at}  look {payload['number']}  {percent(payload['weight'] / 10_000)}  "
        f"e {e} of {needed}  {arms}  {verdict}, {payload['action']}: {reason}"
    )


def watch_live(ask: Ask, looks: Looks, console: Console, standstill: Standstill) -> None:
    """A picture that changes in place, on a screen of its own; the last one stays behind."""
    from rich.live import Live

    events: list[Event] = []
    view: RolloutView | None = None
    trouble = ""
    try:
        with Live(console=console, screen=True, auto_refresh=False) as live:
            for view, new in stream(ask, looks):
                events += new
                trouble = standstill(view)
                if looks.trouble:
                    trouble = sentence(f"the plots stand still: {looks.trouble}")
                live.update(_picture(view, events, console, trouble), refresh=True)
    finally:
        if view is not None:
            console.print(_picture(view, events, console, trouble))


def _picture(view: RolloutView, events: Sequence[Event], console: Console, trouble: str) -> Any:
    size = Size(console.width, console.height - 1, console.color_system is not None)
    return picture(view, events, time.time(), size, note=trouble)


def show_once(view: RolloutView, looks: Looks) -> None:
    """The picture as it is now; where there is no terminal, as plain text."""
    events = looks.new()
    console = screen()
    if not console.is_terminal:
        from rich.console import Console

        console = Console(width=120, height=_ONCE_HEIGHT, no_color=True)
    console.print(_picture(view, events, console, looks.trouble))
    if not (view.looks or view.shadow):
        print_facts(facts(view, time.time()))
