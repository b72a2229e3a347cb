"""Running the loop: one step after another, each durable before the next begins."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from triune.app import services
from triune.app.context import Context
from triune.app.loop import checks, model
from triune.app.loop.model import Check, LoopState, Step
from triune.app.loop.steps import STEPS, Play
from triune.app.replay import records
from triune.core.config import LoopTable
from triune.core.errors import NotFound
from triune.core.files import locked
from triune.core.ids import digest_bytes, digest_tree
from triune.core.workspace import Workspace
from triune.ledger.envelope import event

REPORT = "report.html"


class Show(Protocol):
    """Where the loop tells how it goes."""

    def begins(self, words: str) -> None:
        """Whether it resumes or starts clean, in a sentence."""
        ...

    def step(self, step: Step) -> None:
        """A step begins."""
        ...

    def note(self, words: str) -> None:
        """Something about the present step."""
        ...

    def done(self, step: Step, seconds: float, *, kept: bool = False) -> None:
        """A step has ended, or was kept from an interrupted loop."""
        ...


@dataclass(frozen=True, slots=True)
class LoopResult:
    """How a loop ended."""

    id: str
    ok: bool
    seconds: float
    checks: tuple[Check, ...]
    steps: dict[str, float]
    facts: dict[str, dict[str, Any]]
    report: Path


def run(context: Context, show: Show, *, keep_up: bool = False) -> LoopResult:
    """Run the loop of ``[loop]``; the report is written whether or not its checks hold.

    Services that ran before are left running; those it started are stopped at the end, unless
    ``keep_up``.

    One loop at a time (``already-running``). Killed at any line, the next one resumes what is
    content-addressed (runs, models) or starts clean, and says which.

    Raises
    ------
    NotFound: (``loop-missing``) ``triune.toml`` has no ``[loop]``.
    """
    table = context.workspace.config.loop
    if table is None:
        raise NotFound(
            "loop-missing",
            "triune.toml has no [loop] table",
            context=str(context.workspace.root),
            hint="Add one; docs/reference/configuration.md lists its keys.",
        )
    with locked(context.workspace.state / "loop.lock", wait=False):
        return _run(context, table, show, keep_up=keep_up)


def _run(context: Context, table: LoopTable, show: Show, *, keep_up: bool) -> LoopResult:
    path = context.workspace.state / "loop.json"
    began = time.monotonic()
    running = context.supervisor.running()
    beginning = model.begin(model.load(path), basis(context.workspace), running=running)
    show.begins(beginning.words)
    play = Play(context, table, beginning.state, show.note)
    model.save(path, play.state)
    try:
        for step, act in STEPS.items():
            if not play.has(step):
                continue
            _step(play, step, act, show)
            if step is Step.UP:
                _tell(play, "loop.started", {"resumed": beginning.resumed})
            if step is Step.DATA:
                play.state = play.state.without_outdated()
            model.save(path, play.state)
        result = _conclude(play, show, time.monotonic() - began)
    finally:
        if play.traffic is not None:
            play.traffic.abandon()
        if play.state.owns_services and not keep_up:
            services.down(context)
    model.save(path, replace(play.state, finished=True))
    return result


def _step(play: Play, step: Step, act: Any, show: Show) -> None:
    if step.value in play.state.facts:
        show.done(step, play.state.seconds[step.value], kept=True)
        return
    show.step(step)
    begin = time.monotonic()
    facts = act(play)
    seconds = time.monotonic() - begin
    play.state = play.state.done(step, facts, seconds)
    show.done(step, seconds)


def _conclude(play: Play, show: Show, seconds: float) -> LoopResult:
    show.step(Step.CHECK)
    begin = time.monotonic()
    made = checks.judge(
        play.state,
        records.read(Path(play.fact(Step.LINEAGE, "records"))),
        play.context.ledger.coverage(),
    )
    ok = all(check.ok for check in made)
    _tell(
        play,
        "loop.finished",
        {"ok": ok, "checks": [{"name": c.name, "ok": c.ok, "detail": c.detail} for c in made]},
    )
    report = _report(play, made)
    show.done(Step.CHECK, time.monotonic() - begin)
    return LoopResult(
        id=play.state.id,
        ok=ok,
        seconds=seconds + time.monotonic() - begin,
        checks=made,
        steps=play.state.seconds,
        facts=play.state.facts,
        report=report,
    )


def _report(play: Play, made: Iterable[Check]) -> Path:
    from triune.app import report

    facts = report.from_state(play.state, made)
    return report.build(play.context, facts, play.context.workspace.root / REPORT)


def _tell(play: Play, kind: str, payload: dict[str, Any]) -> None:
    play.context.ledger.record(
        [
            event(
                kind,
                f"loop:{play.state.id}",
                workspace=play.context.workspace.name,
                payload={"endpoint": play.table.endpoint, **payload},
            )
        ]
    )


def basis(workspace: Workspace) -> str:
    """A digest of what runs and models depend on: configuration, code, environment."""
    from triune.models import environment

    code = workspace.root / workspace.config.workspace.code
    parts = [
        (workspace.root / "triune.toml").read_text(),
        digest_tree(code, leave_out=_compiled(code)) if code.is_dir() else "",
        environment.remembered(workspace.state / "environment.json").ref,
    ]
    return digest_bytes("\n".join(parts).encode())


def _compiled(code: Path) -> list[str]:
    return [p.relative_to(code).as_posix() for p in code.rglob("*.pyc")]


def state(workspace: Workspace) -> LoopState | None:
    """What the last loop has done so far."""
    return model.load(workspace.state / "loop.json")
