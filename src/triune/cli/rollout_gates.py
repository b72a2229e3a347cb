"""The commands by which a person steers a rollout: pause, resume, promote, abort, rollback."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from triune.cli.output import JSON_OPTION, here, print_json

if TYPE_CHECKING:
    from triune.app.context import Context
    from triune.delivery.rollout.service import Rollouts
    from triune.delivery.rollout.view import RolloutView

ENDPOINT = typer.Argument(..., help="An endpoint of triune.toml.")
REASON = typer.Option(..., "--reason", help="Why; it is recorded.")
DRY_RUN = typer.Option(False, "--dry-run", help="Say what would be done, do nothing.")

Observer = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class Would:
    """What a command would do: in which phase, in words, and which release users would get."""

    endpoint: str
    phase: str
    words: str
    then: str


def pause(*, endpoint: str = ENDPOINT, reason: str = REASON, as_json: bool = JSON_OPTION) -> None:
    """Hold a candidate's share; looks go on, and harm still rolls back."""
    with closing(_context()) as context:
        context.rollouts.pause(endpoint, reason)
        view = context.rollouts.view(endpoint)
    _show(view, f"{endpoint} is paused at {view.weight:g} % of the units", as_json=as_json)


def resume(*, endpoint: str = ENDPOINT, reason: str = REASON, as_json: bool = JSON_OPTION) -> None:
    """Go on with a rollout that was paused."""
    with closing(_context()) as context:
        context.rollouts.resume(endpoint, reason)
        view = context.rollouts.view(endpoint)
    _show(view, f"{endpoint} goes on from {view.weight:g} % of the units", as_json=as_json)


def promote(
    *,
    endpoint: str = ENDPOINT,
    reason: str = REASON,
    dry_run: bool = DRY_RUN,
    as_json: bool = JSON_OPTION,
) -> None:
    """Give a candidate all traffic without waiting for more evidence."""
    with closing(_context()) as context:
        if dry_run:
            _would(_promotion(context.rollouts, endpoint), as_json=as_json)
            return
        context.rollouts.promote(endpoint, reason)
        view = context.rollouts.view(endpoint)
    words = f"{endpoint}: all traffic moves to {view.release} at the controller's next step"
    _show(view, f"{words}\nnext: triune rollout watch {endpoint}", as_json=as_json)


def abort(
    *,
    endpoint: str = ENDPOINT,
    reason: str = REASON,
    dry_run: bool = DRY_RUN,
    as_json: bool = JSON_OPTION,
) -> None:
    """Return every user to the stable release, now."""
    with closing(_context()) as context:
        if dry_run:
            _would(_withdrawal(context, endpoint), as_json=as_json)
            return
        view = context.rollouts.abort(endpoint, reason)
        serves = _serves(context, endpoint)
    if as_json:
        from triune.cli.rollout_view import as_dict

        print_json({**as_dict(view), "serves": serves})
        return
    if not view.over:
        typer.echo(f"{endpoint}: the candidate is being stopped ({view.phase})")
    typer.echo(f"users of {endpoint} get {serves or 'nothing: no release is live'}")


def rollback(
    *, endpoint: str = ENDPOINT, reason: str = REASON, as_json: bool = JSON_OPTION
) -> None:
    """Return an endpoint's traffic to its previous release."""
    with closing(_context()) as context, _progress(quiet=as_json) as observe:
        now = context.delivery.rollback(endpoint, reason, observe=observe)
    if as_json:
        import msgspec

        print_json({**msgspec.to_builtins(now), "phase": now.phase.value})
        return
    typer.echo(f"{endpoint} serves {now.live.release if now.live else 'nothing'} again")


def _context() -> Context:
    from triune.app.context import Context

    return Context(here())


def _show(view: RolloutView, words: str, *, as_json: bool) -> None:
    if as_json:
        from triune.cli.rollout_view import as_dict

        print_json(as_dict(view))
        return
    typer.echo(words)


def _would(would: Would, *, as_json: bool) -> None:
    if as_json:
        print_json(would)
        return
    typer.echo(f"{would.endpoint} is {would.phase}: this would {would.words}")
    if would.then:
        typer.echo(f"users would get {would.then}")


def _promotion(rollouts: Rollouts, endpoint: str) -> Would:
    from triune.cli.rollout_view import against
    from triune.delivery.state import BEFORE_TRAFFIC, BESIDE_STABLE

    view = rollouts.view(endpoint)
    if view.phase in BEFORE_TRAFFIC:
        words = "give it all traffic once its smoke tests pass, without shadow or canary"
        return Would(endpoint, view.phase, words, view.release)
    if view.phase not in BESIDE_STABLE:
        return Would(endpoint, view.phase, "change nothing", "")
    words = f"move the other {100 - view.weight:g} % of the units to {view.release}"
    if view.looks:
        words += f"; the verdict is {view.verdict}, {against(view)}"
    return Would(endpoint, view.phase, words, view.release)


def _withdrawal(context: Context, endpoint: str) -> Would:
    from triune.delivery.state import BEFORE_TRAFFIC, BESIDE_STABLE

    view = context.rollouts.view(endpoint)
    now = context.delivery.tools.store.load(endpoint)
    live = now.live.release if now.live else ""
    if view.phase in BEFORE_TRAFFIC:
        return Would(endpoint, view.phase, f"stop {view.release} before any user sees it", live)
    if view.phase in BESIDE_STABLE:
        words = f"return {view.weight:g} % of the units to {live} and stop {view.release}"
        return Would(endpoint, view.phase, words, live)
    if now.pending is None and now.previous is not None and now.rollout == view.rollout:
        words = f"return all traffic from {live} to the previous release"
        return Would(endpoint, now.phase, words, now.previous.release)
    return Would(endpoint, view.phase, "change nothing", live)


def _serves(context: Context, endpoint: str) -> str:
    """The release that users get, as the state has it."""
    live = context.delivery.tools.store.load(endpoint).live
    return live.release if live else ""


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Observer]:
    """A line for each step that has words, with a spinner while it lasts."""
    if quiet:
        yield lambda step, words: None
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True, highlight=False)
    with console.status("") as spinner:

        def observe(step: str, words: str) -> None:
            if words:
                console.print(Text.assemble((f"{step:>12}", "bold"), f" {words}"))
                spinner.update(f"{step} ...")

        yield observe
