"""What each step of the loop does; every step is a use case the CLI also offers alone.

Rollouts go through the controller (`triune.app.loop.rolling`), as a user's would.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from triune.app import services
from triune.app.context import Context
from triune.app.loop import abtest, flag, live
from triune.app.loop.model import LoopState, Step
from triune.app.loop.rolling import Facts, Note, clear_way, roll_out
from triune.app.replay.background import Background
from triune.app.replay.model import Summary
from triune.app.replay.service import Settings
from triune.core.config import LoopTable
from triune.core.errors import Conflict
from triune.core.rollout_config import Strategy
from triune.core.waiting import wait_until
from triune.ledger.envelope import Event
from triune.ledger.ports import Query
from triune.models.training.service import Trainer

BEFORE_SWITCH = 1_000
"""Requests a release answers before the next step, so that the report has something to show."""
ROLLBACK_SECONDS = 60.0
CATCH_UP_SECONDS = 60.0
ALIASES = {"better": "champion"}


@dataclass
class Play:
    """One loop under way: its surroundings, what it has found out, and its traffic."""

    context: Context
    table: LoopTable
    state: LoopState
    note: Note
    traffic: Background | None = field(default=None)

    @property
    def trainings(self) -> dict[str, str]:
        """Which training plays which part."""
        table = self.table
        return {
            "first": table.first,
            "better": table.better,
            "canary": table.canary,
            "harmful": table.harmful,
            "broken": table.broken,
            "failing": table.failing,
        }

    def has(self, step: Step) -> bool:
        """Whether the workspace has what a step is about."""
        config = self.context.workspace.config
        match step:
            case Step.STAGES:
                return (self.context.workspace.root / "dvc.yaml").is_file()
            case Step.FEATURES:
                return config.feature_store is not None
            case Step.ONLINE:
                return config.feature_store is not None and self.table.online is not None
            case Step.BACKUP:
                return config.backup is not None
        return True

    def fact(self, step: Step, key: str) -> Any:
        """What an earlier step left."""
        return self.state.facts[step.value][key]

    def events(self, kind: str, *, after: int) -> Iterator[Event]:
        """Events of a kind about this loop's endpoint, behind a place in the log."""
        for stored in self.context.ledger.select(Query(kind=kind, after=after)):
            if stored.event.payload.get("endpoint") == self.table.endpoint:
                yield stored.event


def up(play: Play) -> Facts:
    """Start the profile's services."""
    result = services.up(play.context)
    for words in result.notes:
        play.note(words)
    return {"running": [status.name for status in result.statuses]}


def data(play: Play) -> Facts:
    """Build and version every dataset the trainings use, and check those with expectations."""
    config = play.context.workspace.config
    names = sorted({config.trainings[name].dataset for name in play.trainings.values()})
    versions = {}
    for name in names:
        play.context.data.build(name, on_progress=play.note)
        version = play.context.data.add(name, on_progress=play.note)
        versions[name] = version.ref
        play.note(f"{version.ref}: {len(version.files)} files, {version.bytes / 1e6:.1f} MB")
    expectations = play.context.expectations
    checked = {
        name: expectations.check(name, on_progress=play.note).verdict
        for name in names
        if name in expectations.names()
    }
    return {"versions": versions, "checked": checked}


def training(play: Play) -> Facts:
    """Train every model, as many at once as is sensible here."""
    trainer = Trainer(play.context.workspace, play.context.ledger, play.context.data)

    def run(part: str) -> tuple[str, Facts]:
        record = trainer.train(play.trainings[part])
        shown = ", ".join(f"{name} {value:.3f}" for name, value in sorted(record.metrics.items()))
        play.note(f"run {record.id} ({play.trainings[part]}): {shown}")
        dataset = record.input("dataset")
        return part, {"run": record.id, "metrics": dict(record.metrics), "dataset": dataset}

    with ThreadPoolExecutor(max_workers=2) as pool:
        return dict(pool.map(run, play.trainings))


def register(play: Play) -> Facts:
    """Sign and register each model."""
    registry = play.context.registry

    def one(part: str) -> tuple[str, Facts]:
        version = registry.register(play.fact(Step.TRAIN, part)["run"])
        if part in ALIASES:
            registry.alias(version.name, ALIASES[part], version.number)
        play.note(f"{version.ref}, digest {version.digest[7:19]}, signed")
        return part, {"model": f"{version.name}@{version.number}", "digest": version.digest}

    return dict(map(one, play.trainings))


def serve(play: Play) -> Facts:
    """Release A takes the endpoint; recorded traffic begins in the background."""
    abtest.clear(play)
    clear_way(play.context.rollouts, play.table.endpoint, play.note)
    facts = _roll_out(play, "first", Strategy.BLUE_GREEN)
    since = time.time()
    play.traffic = Background.start(
        play.context.workspace, play.table.endpoint, Settings(rate=play.table.rate)
    )
    summary = _answered_by(play, facts["release"], BEFORE_SWITCH)
    play.note(f"traffic flows: {summary.sent} requests, p99 {summary.p99_ms or 0:.1f} ms")
    return {"replay": play.traffic.id, "traffic_since": since, **facts}


def decide(play: Play) -> Facts:
    """The A/B test is decided; its winner serves everybody."""
    facts = abtest.decide(play)
    _answered_more(play, facts["release"])
    return facts


def shadow(play: Play) -> Facts:
    """Release C answers copies of B's requests; the answers are compared, no user sees one."""
    return _roll_out(play, "canary", Strategy.SHADOW)


def canary(play: Play) -> Facts:
    """Release C gets a growing share of the units and is promoted when it has shown no harm."""
    facts = _roll_out(play, "canary", Strategy.CANARY)
    _answered_more(play, _live(play))
    return {"live": _live(play), **facts}


def harm(play: Play) -> Facts:
    """Release D gets its share, fails for some of its units, and the evidence takes it back."""
    facts = _roll_out(play, "harmful", Strategy.CANARY)
    _answered_more(play, _live(play))
    return {"live": _live(play), **facts}


def refuse(play: Play) -> Facts:
    """Release E must be refused by a smoke test."""
    facts = _roll_out(play, "broken", Strategy.BLUE_GREEN)
    why = facts["why"]
    refused = ""
    if facts["outcome"] == "refused":
        refused = f"{facts['release']} failed {why.get('test')}: {why.get('words')}"
        play.note(f"refused, as it should be: {refused}")
    return {"refused": refused, "live": _live(play), **facts}


def fail(play: Play) -> Facts:
    """Release F passes its smoke tests, then fails; the guard brings C back."""
    before = play.context.ledger.last_sequence()
    facts = _roll_out(play, "failing", Strategy.BLUE_GREEN)
    found: list[Event] = []

    def rolled_back() -> bool:
        happened = play.events("rollout.rolled-back", after=before)
        found[:] = [event for event in happened if event.subject == facts["release"]]
        return bool(found)

    wait_until(
        rolled_back,
        timeout=ROLLBACK_SECONDS,
        what=f"{facts['release']} fails and is rolled back",
        hint="`triune logs guard` shows what the guard saw.",
    )
    why = found[-1].payload
    play.note(f"rolled back by itself: {why.get('words') or why.get('reason')}")
    _answered_more(play, str(play.fact(Step.CANARY, "release")))
    return {**facts, "why": dict(why), "live": _live(play)}


def lineage(play: Play) -> Facts:
    """End the traffic, wait until the ledger has it all, and trace one prediction."""
    if play.traffic is None:
        raise Conflict(
            "loop-without-traffic",
            "the traffic of this loop has ended",
            hint="Run `triune loop` again.",
        )
    summary = play.traffic.stop()
    play.traffic = None
    served = partial(_served, play, _of_others(play))
    wait_until(
        lambda: served() >= summary.good,
        timeout=CATCH_UP_SECONDS,
        what=f"the ledger holds all {summary.good} predictions",
        hint="`triune logs ingest` shows what keeps it.",
    )
    release = play.fact(Step.CANARY, "release")
    prediction = summary.releases[release].last_prediction
    ref = play.context.ledger.resolve(prediction)
    gaps = [f"{gap.ref}: {gap.what}" for gap in play.context.ledger.missing(ref)]
    edges = play.context.ledger.ancestors(ref)
    play.note(f"{ref} <- {', '.join(sorted({edge.parent for edge in edges}))}")
    return {
        "prediction": prediction,
        "gaps": gaps,
        "ancestors": sorted({edge.parent for edge in edges}),
        "sent": summary.sent,
        "good": summary.good,
        "failed": summary.failed,
        "lost": summary.lost,
        "served": served(),
        "outcomes": summary.outcomes,
        "records": summary.records,
    }


def reproduce(play: Play) -> Facts:
    """Do run C, whose model serves, again from its records."""
    from triune.app import reproduce as use_case

    result = use_case.reproduce(
        play.context,
        play.fact(Step.TRAIN, "canary")["run"],
        on_step=play.note,
    )
    shipped = _await_mlflow(play)
    words = "; ".join([str(finding) for finding in result.findings] or result.compared)
    play.note(f"verdict: {result.verdict.value}; {words}")
    return {"verdict": result.verdict.value, "words": words, "shipped": shipped}


STEPS: dict[Step, Callable[[Play], Facts]] = {
    Step.UP: up,
    Step.DATA: data,
    Step.STAGES: live.stages,
    Step.FEATURES: live.views,
    Step.TRAIN: training,
    Step.REGISTER: register,
    Step.SERVE: serve,
    Step.TEST: abtest.begin,
    Step.ONLINE: live.online,
    Step.FLAG: flag.flip,
    Step.DECIDE: decide,
    Step.SHADOW: shadow,
    Step.CANARY: canary,
    Step.HARM: harm,
    Step.REFUSE: refuse,
    Step.FAIL: fail,
    Step.LINEAGE: lineage,
    Step.BACKUP: live.backup,
    Step.REPRODUCE: reproduce,
}


def _roll_out(play: Play, part: str, strategy: Strategy) -> Facts:
    """Make a part's release and roll it out."""
    model = play.fact(Step.REGISTER, part)["model"]
    release = play.context.delivery.releases.create(play.table.endpoint, model).ref
    play.context.ledger.flush()
    return roll_out(play.context.rollouts, play.table.endpoint, release, strategy, play.note)


def _await_mlflow(play: Play) -> int:
    """How many of the loop's runs are in MLflow with all they logged."""
    wanted = {f"run:{facts['run']}" for facts in play.state.facts[Step.TRAIN.value].values()}

    def shipped() -> int:
        told = play.context.ledger.select(Query(kind="run.shipped"))
        return len(wanted & {stored.event.subject for stored in told})

    wait_until(
        lambda: shipped() == len(wanted),
        timeout=CATCH_UP_SECONDS,
        what="every run arrives in MLflow",
        hint="`triune logs tracker` shows what keeps it.",
    )
    return shipped()


def _live(play: Play) -> str:
    (status,) = play.context.delivery.status(play.table.endpoint)
    return status.live.release if status.live else ""


def _count(play: Play, release: str) -> int:
    summary = play.traffic.summary() if play.traffic else None
    return summary.releases[release].good if summary and release in summary.releases else 0


def _answered_by(play: Play, release: str, count: int) -> Summary:
    """Wait until a release has answered so many requests of the traffic."""
    if play.traffic is None:
        raise Conflict("loop-without-traffic", "no traffic flows", hint="Run `triune loop` again.")
    return play.traffic.wait_for(
        lambda s: release in s.releases and s.releases[release].good >= count,
        what=f"{release} answers {count} requests",
    )


def _answered_more(play: Play, release: str) -> Summary:
    """Wait until a release has answered half as many requests again as before a switch."""
    return _answered_by(play, release, _count(play, release) + BEFORE_SWITCH // 2)


def _since(play: Play) -> int:
    return round(float(play.fact(Step.SERVE, "traffic_since")) * 1e6)


def _of_others(play: Play) -> int:
    """How many predictions of other endpoints there are since the traffic began."""
    query = Query(kind="prediction.served", since=_since(play))
    found = (stored.event.payload["endpoint"] for stored in play.context.ledger.select(query))
    return sum(1 for endpoint in found if endpoint != play.table.endpoint)


def _served(play: Play, others: int) -> int:
    query = Query(kind="prediction.served", since=_since(play))
    return play.context.ledger.count(query) - others
