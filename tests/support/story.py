"""A ledger, runs and traffic as a loop leaves them.

A serves, B takes over, C is refused, D fails and B is back.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from pathlib import Path

from triune.app.context import Context
from triune.app.loop.model import Check
from triune.app.replay import records
from triune.app.replay.model import Record
from triune.app.report.facts import LoopFacts, Part, StepFact
from triune.core.ids import digest_bytes, new_id
from triune.core.workspace import Workspace
from triune.ledger.envelope import Edge, Event, event
from triune.models.tracking.session import start

TOML = """
[workspace]
name = "shop"

[endpoints."shop/late"]
model = "late"
"""
ENDPOINT = "shop/late"
ORIGIN = 1_790_000_000.0
DATASET, COMMIT = "dataset:sales@aaaaaaaaaaaa", "commit:" + "c" * 40
ENVIRONMENT, VIEW = "environment:eeeeeeeeeeee", "features:recent@ffffffffffff"
NASTY = "<script>alert('x')</script>"


@dataclass
class Story:
    """What was told, and the facts that a loop would add."""

    context: Context
    facts: LoopFacts
    records: list[Record]


def told(folder: Path) -> Story:
    """Write the story into a new workspace; the caller closes the context."""
    (folder / "triune.toml").write_text(TOML)
    context = Context(Workspace(folder))
    runs = {letter: _run(context, letter) for letter in "ABCD"}
    releases = {letter: f"release:shop-late@{letter.lower() * 12}" for letter in "ABCD"}
    sent = _traffic(releases)
    context.ledger.record([*_artifacts(runs, releases), *_rollouts(releases), *_answers(sent)])
    card = context.workspace.artifacts / "late" / "2" / "card.md"
    card.parent.mkdir(parents=True)
    card.write_text(f"# late version 2\n\n## Limits\n\nNot for {NASTY}.\n")
    path = records.folder(context.workspace) / "replay.jsonl"
    with records.RecordFile(path) as file:
        for record in sent:
            file.append(record)
    facts = LoopFacts(
        id="loop-1",
        started=ORIGIN - 30,
        steps=(StepFact("up", "Start.", 2.0), StepFact("train", "Train.", 9.5)),
        parts=tuple(Part(x, runs[x], _model(x), releases[x]) for x in "ABCD"),
        checks=(Check("Nothing was lost", True, "0 of 4,000"), Check("Traced", False, NASTY)),
        prediction=f"prediction:{sent[1500].prediction}",
        verdict="identical",
        verdict_words="48 values, bit for bit",
        records=path,
    )
    return Story(context, facts, sent)


def _model(letter: str) -> str:
    return f"model:late@{ord(letter) - 64}"


def _run(context: Context, letter: str) -> str:
    run = start(
        f"train-{letter}",
        workspace=context.workspace,
        sink=context.ledger,
        params={"rounds": 3, "depth": ord(letter)},
        inputs=(
            (DATASET, "dataset"),
            (VIEW, "features"),
            (COMMIT, "commit"),
            (ENVIRONMENT, "environment"),
        ),
        details={"training": f"training-{letter}"},
    )
    with run:
        for step in range(3):
            run.log(step=step, log_loss=0.6 - step / 10, auc=0.6 + step / 50)
    return run.ref


def _artifacts(runs: dict[str, str], releases: dict[str, str]) -> list[Event]:
    def made(kind: str, subject: str, parents: dict[str, str], **payload: object) -> Event:
        edges = tuple(Edge(subject, parent, role) for parent, role in parents.items())
        return event(kind, subject, workspace="shop", payload=payload, edges=edges)

    packages = {"python": "3.11.2", "platform": "Linux", "packages": {"numpy": "2.0"}, "lock": None}
    events = [
        made("dataset.versioned", DATASET, {}, name="sales"),
        made("commit.recorded", COMMIT, {}),
        made("environment.recorded", ENVIRONMENT, {}, **packages),
        made("features.defined", VIEW, {DATASET: "dataset", COMMIT: "commit"}),
    ]
    for letter in "ABCD":
        model = _model(letter)
        known = {"name": "late", "version": ord(letter) - 64, "run": runs[letter]}
        digest = digest_bytes(letter.encode())
        events.append(
            made("model.registered", model, {runs[letter]: "run"}, **known, digest=digest)
        )
        parents = {model: "model", COMMIT: "commit", VIEW: "features"}
        events.append(made("release.created", releases[letter], parents, endpoint=ENDPOINT))
    return events


def _rollouts(releases: dict[str, str]) -> list[Event]:
    def one(kind: str, letter: str, at: float, **payload: object) -> Event:
        return Event(
            id=new_id(),
            time=round((ORIGIN + at) * 1e6),
            kind=f"rollout.{kind}",
            subject=releases[letter],
            actor="service:guard",
            workspace="shop",
            payload={"endpoint": ENDPOINT, "rollout": letter, **payload},
        )

    passed = [{"name": "contract", "passed": True, "words": "2 outputs"}]
    failed = [*passed, {"name": "own", "passed": False, "words": f"AUC 0.2 {NASTY}"}]
    return [
        one("smoked", "A", -2, results=passed),
        one("switched", "A", -1, previous=None),
        one("smoked", "B", 9, results=passed),
        one("switched", "B", 10, previous=releases["A"]),
        one("smoked", "C", 19, results=failed),
        one("refused", "C", 20, test="own", words=f"AUC 0.2 {NASTY}"),
        one("smoked", "D", 24, results=passed),
        one("switched", "D", 25, previous=releases["B"]),
        one("rolled-back", "D", 31, to=releases["B"], reason="2 failed checks", seconds=0.4),
    ]


def _traffic(releases: dict[str, str]) -> list[Record]:
    draw, sent = random.Random(5), []
    skill = {"A": 0.5, "B": 1.5, "D": 1.4}
    for number in range(4000):
        at = number / 100
        letter = "A" if at < 10 else "B" if at < 25 or at >= 31 else "D"
        late = draw.random() < 0.3
        score = 1 / (1 + math.exp(-draw.gauss(skill[letter] * (1 if late else -0.3), 1)))
        broken = 30.2 <= at < 31
        sent.append(
            Record(
                number=number,
                sent=round((ORIGIN + at) * 1e6),
                took=round(draw.lognormvariate(7.5, 0.5)),
                status=503 if broken else 200,
                unit=f"unit-{number % 50}",
                prediction="" if broken else new_id(),
                release=releases[letter],
                score=None if broken else score,
                outcome=float(late),
            )
        )
    return sent


def _answers(sent: list[Record]) -> list[Event]:
    events = []
    for record in sent:
        if not record.good:
            continue
        subject = f"prediction:{record.prediction}"
        common = {"endpoint": ENDPOINT, "unit": record.unit}
        known = {"name": "late", "value": record.outcome, "predicted": record.score}
        events.append(
            Event(
                id=record.prediction,
                time=record.sent,
                kind="prediction.served",
                subject=subject,
                actor="service:gateway",
                workspace="shop",
                payload=common,
                edges=(Edge(subject, record.release, "release"),),
            )
        )
        events.append(
            Event(
                id=new_id(),
                time=record.sent + 2_000_000,
                kind="outcome.observed",
                subject=subject,
                actor="service:replay",
                workspace="shop",
                payload={**common, **known},
            )
        )
    return events
