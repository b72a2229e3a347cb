"""What the loop knows of itself that no single event says: its steps, parts and checks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from triune.app.loop.model import SENTENCES, Check, LoopState, Step

PARTS = (
    ("A", "first", Step.SERVE),
    ("B", "better", Step.TEST),
    ("C", "canary", Step.CANARY),
    ("D", "harmful", Step.HARM),
    ("E", "broken", Step.REFUSE),
    ("F", "failing", Step.FAIL),
)
"""Each letter, the part it plays, and the step that makes its release."""


@dataclass(frozen=True, slots=True)
class StepFact:
    """One step and how long it took, in seconds."""

    name: str
    sentence: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Part:
    """What plays one letter: references, empty where the loop has not come so far."""

    letter: str
    run: str = ""
    model: str = ""
    release: str = ""


@dataclass(frozen=True, slots=True)
class LoopFacts:
    """One loop, as its report tells it. ``started`` is in seconds since 1970.

    ``explained`` has the sentences about each rollout, by its id, from when it had just ended.
    """

    id: str
    started: float
    steps: tuple[StepFact, ...] = ()
    parts: tuple[Part, ...] = ()
    checks: tuple[Check, ...] = ()
    prediction: str = ""
    verdict: str = ""
    verdict_words: str = ""
    records: Path | None = None
    explained: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def from_state(state: LoopState, checks: Iterable[Check] = ()) -> LoopFacts:
    """The facts in a loop's state on disk; every part of it may be missing."""
    lineage = state.facts.get(Step.LINEAGE.value, {})
    reproduced = state.facts.get(Step.REPRODUCE.value, {})
    prediction = str(lineage.get("prediction", ""))
    return LoopFacts(
        id=state.id,
        started=state.started,
        steps=tuple(
            StepFact(step.value, SENTENCES[step], state.seconds[step.value])
            for step in Step
            if step.value in state.seconds
        ),
        parts=tuple(_part(letter, role, step, state.facts) for letter, role, step in PARTS),
        checks=tuple(checks),
        prediction=f"prediction:{prediction}" if prediction else "",
        verdict=str(reproduced.get("verdict", "")),
        verdict_words=str(reproduced.get("words", "")),
        records=Path(lineage["records"]) if "records" in lineage else None,
        explained={
            facts["rollout"]: tuple(facts["explained"])
            for facts in state.facts.values()
            if facts.get("explained") and "rollout" in facts
        },
    )


def _part(letter: str, role: str, step: Step, facts: Mapping[str, Mapping[str, Any]]) -> Part:
    run = facts.get(Step.TRAIN.value, {}).get(role, {}).get("run", "")
    model = facts.get(Step.REGISTER.value, {}).get(role, {}).get("model", "")
    release = facts.get(step.value, {}).get("release", "")
    return Part(letter, f"run:{run}" if run else "", f"model:{model}" if model else "", release)
