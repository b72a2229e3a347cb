"""A rollout followed by the command that began it: a line for each phase, and what keeps it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.status import Status
from rich.text import Text

from triune.cli import rollout_view as words
from triune.cli.rollout_standstill import Standstill
from triune.core.errors import CheckFailed, TriuneError, Unavailable
from triune.core.waiting import wait_until

if TYPE_CHECKING:
    from types import TracebackType

    from triune.app.context import Context
    from triune.delivery.rollout.view import RolloutView

SMOKED_SECONDS = 3.0


class Following:
    """Takes views; use as a context manager. Prints to stderr; when ``quiet`` only what keeps the
    rollout from moving, since its caller would wait without knowing for what."""

    def __init__(
        self, standstill: Standstill, *, quiet: bool = False, console: Console | None = None
    ) -> None:
        self._console = console or Console(stderr=True, highlight=False)
        self._quiet = quiet
        self._standstill = standstill
        self._spinner: Status | None = None
        self._stands: tuple[object, ...] = ()
        self._trouble = ""

    def __enter__(self) -> Self:
        if self._console.is_terminal and not self._quiet:
            self._spinner = self._console.status("waiting for the controller ...")
            self._spinner.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._spinner:
            self._spinner.stop()

    def __call__(self, view: RolloutView) -> None:
        """Say what is new since the view before."""
        stands = (view.phase, view.weight, view.paused)
        if stands != self._stands:
            self._stands = stands
            if not self._quiet:
                self._say(*_news(view))
        if self._spinner:
            self._spinner.update(Text(_lately(view)))
        trouble = self._standstill(view)
        if trouble != self._trouble:
            self._say("waiting", trouble)
        self._trouble = trouble

    def _say(self, step: str, told: str) -> None:
        if told:
            self._console.print(Text.assemble((f"{step:>12}", "bold"), f" {told}"), soft_wrap=True)


def _news(view: RolloutView) -> tuple[str, str]:
    if view.over:
        return (view.outcome or "over", words.outcome(view).partition(": ")[2] or view.sentence)
    if view.paused:
        return "paused", words.paused(view)
    if view.phase == "canary":
        return "canary", f"step {words.step(view)}" if view.weight else ""
    return view.phase, view.sentence


def _lately(view: RolloutView) -> str:
    if view.looks and not view.over:
        return f"{view.verdict}: {view.reason}"
    return f"{view.phase} ..."


def check_ended(context: Context, view: RolloutView) -> None:
    """Raise when a rollout has ended otherwise than its caller wanted.

    Raises
    ------
    CheckFailed: ``rollout-refused``, ``rollout-rolled-back``.
    Unavailable: ``rollout-never-begun``.
    """
    if view.outcome in ("promoted", "compared"):
        return
    if view.outcome == "refused" and view.why.get("test") != "aborted":
        from triune.delivery.moves import CandidateUnfit, refusal

        release = context.delivery.releases.get(view.release)
        raise refusal(
            release, CandidateUnfit(str(view.why.get("test", "")), str(view.why.get("words", "")))
        )
    raise _ended(view)


def _ended(view: RolloutView) -> TriuneError:
    reason = words.why(view)
    if view.outcome == "refused":
        return CheckFailed(
            "rollout-refused",
            f"{view.why.get('by', 'somebody')} aborted {view.release}: {reason}",
            context=view.endpoint,
            hint="Users still get what they got before.",
        )
    if view.outcome == "rolled-back":
        return CheckFailed(
            "rollout-rolled-back",
            f"{view.release} was rolled back: {reason}",
            context=view.endpoint,
            hint=f"`triune rollout explain {view.endpoint}` says what was seen.",
        )
    return Unavailable(
        "rollout-never-begun",
        f"the rollout of {view.release} ended before it began",
        context=view.endpoint,
        hint="`triune logs controller` says more; start it again.",
    )


def smoked(context: Context, view: RolloutView) -> list[dict[str, object]]:
    """The results of the smoke tests, as the event tells them; empty when they do not come."""
    from triune.ledger.ports import Query

    found: list[dict[str, object]] = []

    def told() -> bool:
        query = Query(kind="rollout.smoked", subject=view.release)
        for stored in context.ledger.select(query):
            if stored.event.payload["rollout"] == view.rollout:
                found[:] = stored.event.payload["results"]
        return bool(found)

    try:
        wait_until(told, timeout=SMOKED_SECONDS, what="the smoke tests' results are known")
    except Unavailable:
        return []
    return found
