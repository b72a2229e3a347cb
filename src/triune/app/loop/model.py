"""The loop's steps, what each leaves behind, and where a killed loop goes on."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from triune.core.files import read_json, write_json
from triune.core.ids import new_id


class Step(StrEnum):
    """The steps, in order; `SENTENCES` says what each does."""

    UP = "up"
    DATA = "data"
    STAGES = "stages"
    FEATURES = "features"
    TRAIN = "train"
    REGISTER = "register"
    SERVE = "serve"
    TEST = "test"
    ONLINE = "online"
    FLAG = "flag"
    DECIDE = "decide"
    SHADOW = "shadow"
    CANARY = "canary"
    HARM = "harm"
    REFUSE = "refuse"
    FAIL = "fail"
    LINEAGE = "lineage"
    BACKUP = "backup"
    REPRODUCE = "reproduce"
    CHECK = "check"


SENTENCES: dict[Step, str] = {
    Step.UP: "Start the profile's services, each waited for until ready.",
    Step.DATA: "Build the dataset, record it as a version and check it.",
    Step.STAGES: "Make the feature tables in stages; what is unchanged is not made again.",
    Step.FEATURES: "Apply the feature views that are looked up while serving.",
    Step.TRAIN: "Train the models as tracked runs.",
    Step.REGISTER: "Sign and register the models, each with a card of facts.",
    Step.SERVE: "Release A serves; recorded traffic begins, outcomes follow.",
    Step.TEST: "An A/B test begins: half of the aircraft get release B, the others stay on A.",
    Step.ONLINE: "Features come online from a table and a stream; a release looks them up.",
    Step.FLAG: "A flag is flipped under traffic; whoever evaluates it knows at once.",
    Step.DECIDE: "The evidence decides the A/B test; its winner takes over.",
    Step.SHADOW: "Release C answers copies of requests: compared with B, seen by no user.",
    Step.CANARY: "Release C gets a growing share of users, shows no harm and is promoted.",
    Step.HARM: "Release D fails for some of its users: the evidence takes it back.",
    Step.REFUSE: "Release E is broken: a smoke test refuses it, C serves on.",
    Step.FAIL: "Release F fails after its switch: traffic returns to C by itself.",
    Step.LINEAGE: "Trace one prediction of the live traffic back to its data.",
    Step.BACKUP: "Back everything up, and prove it by restoring it beside the workspace.",
    Step.REPRODUCE: "Do run C again from its records and compare.",
    Step.CHECK: "Check that nothing was lost and everything is traced.",
}

KEPT_ON_RESUME = (Step.TRAIN, Step.REGISTER)
"""Steps whose results outlive a killed loop: they are content-addressed and verified again."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing the loop holds itself to."""

    name: str
    ok: bool
    detail: str


@dataclass(frozen=True, slots=True)
class LoopState:
    """What a loop has done so far; on disk after every step.

    ``owns_services`` is true when nothing ran before it: then it stops what it started.
    """

    id: str
    basis: str
    started: float
    owns_services: bool = True
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    finished: bool = False

    def done(self, step: Step, facts: dict[str, Any], seconds: float) -> LoopState:
        """The state after a step."""
        return replace(
            self,
            facts=self.facts | {step.value: facts},
            seconds=self.seconds | {step.value: seconds},
        )

    def without_outdated(self) -> LoopState:
        """Without kept runs and models that were made from another dataset version."""
        now = set(self.facts[Step.DATA.value]["versions"].values())
        made = {facts["dataset"] for facts in self.facts.get(Step.TRAIN.value, {}).values()}
        if made <= now:
            return self
        kept = {step: facts for step, facts in self.facts.items() if step not in KEPT_ON_RESUME}
        return replace(self, facts=kept)


@dataclass(frozen=True, slots=True)
class Beginning:
    """Where a loop starts, and the sentence that says why."""

    state: LoopState
    resumed: bool
    words: str


def begin(previous: LoopState | None, basis: str, *, running: bool) -> Beginning:
    """Resume a loop that was killed, when nothing it stood on has changed; else start clean.

    ``basis`` is a digest of what the kept steps depend on besides the data: configuration,
    code and environment. Runs and registered models are kept; traffic and rollouts are done
    again. ``running``: services run already; a killed loop's are still its own.
    """
    interrupted = previous is not None and not previous.finished
    owns = previous.owns_services if previous and interrupted else not running

    def clean(why: str) -> Beginning:
        state = LoopState(id=new_id(), basis=basis, started=time.time(), owns_services=owns)
        return Beginning(state, resumed=False, words=f"Starting clean: {why}.")

    if previous is None:
        return clean("the first loop here")
    if previous.finished:
        return clean("the last loop had finished")
    if previous.basis != basis:
        return clean(
            f"loop {previous.id} was interrupted, but the configuration, code or environment "
            "has changed since"
        )
    kept: dict[str, dict[str, Any]] = {
        step.value: previous.facts[step.value]
        for step in KEPT_ON_RESUME
        if step.value in previous.facts
    }
    if not kept:
        return clean(f"loop {previous.id} was interrupted before anything could be kept")
    state = replace(previous, facts=kept, seconds={s: previous.seconds[s] for s in kept})
    words = f"Resuming loop {previous.id}: keeping {', '.join(kept)}; the rest is done again."
    return Beginning(state, resumed=True, words=words)


def load(path: Path) -> LoopState | None:
    """The state on disk, or None."""
    table = read_json(path)
    return None if table is None else LoopState(**table)


def save(path: Path, state: LoopState) -> None:
    """Replace the state on disk in one step."""
    write_json(path, asdict(state))
