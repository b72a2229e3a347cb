"""What the loop holds itself to about data, features and backups; only steps it took are judged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from triune.app.loop.model import Check, Step

StepFacts = Mapping[str, Any]


def judge(facts: Mapping[str, StepFacts]) -> Iterator[Check]:
    """The checks of the steps that this loop has, in the order of the steps."""
    for step, checks in _OF_STEPS.items():
        if facts.get(step.value) and (step is not Step.DATA or facts[step.value]["checked"]):
            for check in checks:
                yield check(facts[step.value])


def _expected(data: StepFacts) -> Check:
    checked = data.get("checked", {})
    bad = sorted(name for name, verdict in checked.items() if verdict != "pass")
    return Check(
        "The data meet their expectations",
        not bad,
        f"{', '.join(bad)} failed" if bad else f"{', '.join(sorted(checked))} checked",
    )


def _not_again(stages: StepFacts) -> Check:
    return Check(
        "No stage was run again when nothing had changed",
        bool(stages["versions"]) and stages["again"] == [],
        f"{_listed(stages['ran'])} ran at first, {_listed(stages['again'])} the second time",
    )


def _listed(names: list[str]) -> str:
    return ", ".join(names) or "none"


def _same_answers(online: StepFacts) -> Check:
    return Check(
        "Features looked up while serving gave the answers of features that were sent",
        online["asked"] > 0 and online["differing"] == 0,
        f"{online['differing']} of {online['asked']} answers at {online['moments']} moments differ",
    )


def _fed(online: StepFacts) -> Check:
    kinds = {ref.partition(":")[0] for ref in online["fed_by"]}
    return Check(
        "A prediction with looked-up features traces back to what fed them",
        not online["gaps"] and {"materialisation", "stream"} <= kinds,
        "; ".join(online["gaps"]) or f"fed by {_listed(sorted(online['fed_by']))}",
    )


def _restored(backup: StepFacts) -> Check:
    return Check(
        "The backup was restored beside the workspace and proven there",
        backup["verdict"] == "pass",
        f"{backup['verdict']}: {backup['words']}",
    )


_OF_STEPS: dict[Step, tuple[Callable[[StepFacts], Check], ...]] = {
    Step.DATA: (_expected,),
    Step.STAGES: (_not_again,),
    Step.ONLINE: (_same_answers, _fed),
    Step.BACKUP: (_restored,),
}
