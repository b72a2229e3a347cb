"""A ledger, runs and traffic as a loop leaves them.

A serves, B takes over; C is compared as a shadow, then a canary promotes it; the canary of D is
taken back; E is refused, F fails and C is back.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from msgspec import structs

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
LETTERS = "ABCDEF"
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
    runs = {letter: _run(context, letter) for letter in LETTERS}
    releases = {letter: f"release:shop-late@{letter.lower() * 12}" for letter in LETTERS}
    sent = _traffic(releases)
    happened = [*_rollouts(releases), *_shadow(releases), *_canaries(releases, sent)]
    happened.sort(key=lambda event: event.time)
    context.ledger.record([*_artifacts(runs, releases), *happened, *_answers(sent)])
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
        parts=tuple(Part(x, runs[x], _model(x), releases[x]) for x in LETTERS),
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
    for letter in LETTERS:
        model = _model(letter)
        known = {"name": "late", "version": ord(letter) - 64, "run": runs[letter]}
        digest = digest_bytes(letter.encode())
        events.append(
            made("model.registered", model, {runs[letter]: "run"}, **known, digest=digest)
        )
        parents = {model: "model", COMMIT: "commit", VIEW: "features"}
        events.append(made("release.created", releases[letter], parents, endpoint=ENDPOINT))
    return events


def _one(releases: dict[str, str], kind: str, letter: str, at: float, **payload: object) -> Event:
    return Event(
        id=new_id(),
        time=round((ORIGIN + at) * 1e6),
        kind=f"rollout.{kind}",
        subject=releases[letter],
        actor="service:guard",
        workspace="shop",
        payload={"endpoint": ENDPOINT, "rollout": letter, **payload},
    )


def _rollouts(releases: dict[str, str]) -> list[Event]:
    one = partial(_one, releases)
    passed = [{"name": "contract", "passed": True, "words": "2 outputs"}]
    failed = [*passed, {"name": "own", "passed": False, "words": f"AUC 0.2 {NASTY}"}]
    return [
        one("smoked", "A", -2, results=passed),
        one("switched", "A", -1, previous=None),
        one("smoked", "B", 9, results=passed),
        one("switched", "B", 10, previous=releases["A"]),
        one("started", "C", 15.5, previous=releases["B"], strategy="canary"),
        one("stepped", "C", 16, weight=1000),
        one("stepped", "C", 19, weight=5000),
        one("switched", "C", 22, previous=releases["B"]),
        one("started", "D", 23.5, previous=releases["C"], strategy="canary"),
        one("stepped", "D", 24, weight=2000),
        one(
            "rolled-back", "D", 28, to=releases["C"], verdict="fail", metrics=["errors"], e=500.0,
            reason="the candidate makes errors worse (e-value 500)", since=ORIGIN + 25, seconds=3.0,
        ),
        one("smoked", "E", 29, results=failed),
        one("refused", "E", 29.5, test="own", words=f"AUC 0.2 {NASTY}"),
        one("smoked", "F", 30, results=passed),
        one("switched", "F", 31, previous=releases["C"]),
        one("rolled-back", "F", 33, to=releases["C"], reason="2 failed checks", seconds=0.4),
    ]  # fmt: skip


def _shadow(releases: dict[str, str]) -> list[Event]:
    """C beside B from second 12 to 15, 100 pairs a second, one in a hundred different."""

    def one(kind: str, at: float, **payload: object) -> Event:
        made = _one(releases, kind, "C", at, **payload)
        return structs.replace(made, payload={**made.payload, "rollout": "C in shadow"})

    times = {f"{arm}_{q}_ms": 1.5 for arm in ("live", "shadow") for q in ("p50", "p99")}
    looked = [
        one(
            "compared", 12 + n, verdict="pass" if n == 3 else "not yet", pairs=100 * n,
            reason=f"{n} of {100 * n} answers differ", disagreements=n, failures=0, lost=0,
            skipped=0, distance=0.004 if n else None, distance_max=0.06, **times,
        )
        for n in range(4)
    ]  # fmt: skip
    return [
        one("started", 11, previous=releases["B"], strategy="shadow"),
        one("shadowed", 12, mirror=10_000),
        *looked,
        one("rolled-back", 15, to=releases["B"], verdict="pass", outcome="compared", exposed=0),
        one("finished", 15.1, outcome="compared"),
    ]


def _canaries(releases: dict[str, str], sent: list[Record]) -> list[Event]:
    """A look a second at what the traffic was."""
    events = []
    for letter, stable, begin, end in (("C", "B", 16, 22), ("D", "C", 24, 28)):
        both = [0, 0, 0, 0]
        for second in range(begin, end):
            now = [r for r in sent if ORIGIN + second <= r.sent / 1e6 < ORIGIN + second + 1]
            counts = [
                sum(r.release == releases[x] and (good or not r.good) for r in now)
                for x in (stable, letter)
                for good in (True, False)
            ]
            both = [old + new for old, new in zip(both, counts, strict=True)]
            n_a, a, n_b, b = both
            errors = {"n_a": n_a, "n_b": n_b, "a": a, "b": b, "e": 3.0**b, "p": 0.5}
            read = dict(
                zip(("control", "control_errors", "candidate", "candidate_errors"), counts,
                    strict=True)
            )  # fmt: skip
            events.append(
                _one(
                    releases, "looked", letter, second + 1 - 0.01, number=second, e=3.0**b,
                    needed=100.0, verdict="not yet", action="hold", reason="10 of 100 requests",
                    culprits=[], weight=1000, reading={"seconds": 1.0, **read},
                    metrics={"errors": errors},
                )
            )  # fmt: skip
    return events


def _serves(at: float, bucket: int) -> tuple[str, str]:
    """Who answers a unit of that bucket (of 100) at a second, in which role."""
    if at < 10:
        return "A", "stable"
    if at < 22:
        share = 10 if 16 <= at < 19 else 50 if at >= 19 else 0
        return ("C", "candidate") if bucket < share else ("B", "stable")
    if 24 <= at < 28 and bucket < 20:
        return "D", "candidate"
    return ("F", "stable") if 31 <= at < 33 else ("C", "stable")


def _traffic(releases: dict[str, str]) -> list[Record]:
    draw, sent = random.Random(5), []
    skill = {"A": 0.5, "B": 1.5, "C": 1.5, "D": 1.4, "F": 1.4}
    for number in range(4000):
        at, unit = number / 100, number % 50
        letter, arm = _serves(at, 2 * unit)
        late = draw.random() < 0.3
        score = 1 / (1 + math.exp(-draw.gauss(skill[letter] * (1 if late else -0.3), 1)))
        status = 503 if 32.2 <= at < 33 else 500 if letter == "D" and unit == 3 else 200
        sent.append(
            Record(
                number=number,
                sent=round((ORIGIN + at) * 1e6),
                took=round(draw.lognormvariate(7.5, 0.5)),
                status=status,
                unit=f"unit-{unit}",
                prediction="" if status > 200 else new_id(),
                release=releases[letter],
                arm=arm,
                score=None if status > 200 else score,
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
