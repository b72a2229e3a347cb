"""What follows from what was seen. Pure: definition, progress, reading and gates in, a look out.

The order is the order of safety: what takes users off the candidate comes before what holds,
and what holds before what moves more users to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log

from triune.core.rollout_config import MetricName, Mode
from triune.delivery.rollout import analysis
from triune.delivery.rollout.model import Action, Definition, Gates, Progress
from triune.delivery.rollout.readings import Gap, Tick
from triune.delivery.rollout.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict, what follows, and why in words."""

    verdict: Verdict
    action: Action
    reason: str
    culprits: tuple[MetricName, ...] = ()


def decide(
    definition: Definition, progress: Progress, reading: Tick | Gap, gates: Gates
) -> Decision:
    """The decision after a look."""
    for rule in (
        _aborted, _hard_stop, _harm, _promised, _paused, _doubt, _kept, _unknown, _exposure,
    ):  # fmt: skip
        found = rule(definition, progress, reading, gates)
        if found is not None:
            return found
    return _not_yet(definition, progress)


def _aborted(_: Definition, __: Progress, ___: Tick | Gap, gates: Gates) -> Decision | None:
    if gates.abort is None:
        return None
    words = f"{gates.abort.actor} aborted it: {gates.abort.reason}"
    return Decision(Verdict.NOT_YET, Action.ROLL_BACK, words)


def _hard_stop(
    definition: Definition, _: Progress, reading: Tick | Gap, __: Gates
) -> Decision | None:
    """Outside the claim of alpha: so many errors that no statistics are needed."""
    if isinstance(reading, Gap):
        return None
    requests, errors = reading.requests()[1], reading.errors()[1]
    if errors < definition.hard_stop_errors or errors <= definition.hard_stop_share * requests:
        return None
    words = f"{errors} of the candidate's {requests} answers in one tick were errors"
    return Decision(Verdict.FAIL, Action.ROLL_BACK, words, (MetricName.ERRORS,))


def _harm(definition: Definition, progress: Progress, _: Tick | Gap, __: Gates) -> Decision | None:
    log_e = analysis.evidence(definition, progress, Mode.AUTOMATIC)
    if log_e < log(1.0 / definition.alpha):
        return None
    named = analysis.culprits(definition, progress, [Mode.AUTOMATIC])
    words = f"the candidate makes {_list(named)} worse (e-value {_number(log_e)})"
    return Decision(Verdict.FAIL, Action.ROLL_BACK, words, named)


def _promised(_: Definition, __: Progress, ___: Tick | Gap, gates: Gates) -> Decision | None:
    if gates.promote is None:
        return None
    words = f"{gates.promote.actor} promoted it: {gates.promote.reason}"
    return Decision(Verdict.NOT_YET, Action.PROMOTE, words)


def _paused(_: Definition, __: Progress, ___: Tick | Gap, gates: Gates) -> Decision | None:
    if gates.paused is None:
        return None
    words = f"{gates.paused.actor} paused it: {gates.paused.reason}"
    return Decision(Verdict.NOT_YET, Action.HOLD, words)


def _doubt(definition: Definition, progress: Progress, _: Tick | Gap, __: Gates) -> Decision | None:
    """Harm by a metric of mode `pause`, unless a person has resumed it since."""
    if analysis.evidence(definition, progress, Mode.PAUSE) < log(1.0 / definition.alpha):
        return None
    found = analysis.culprits(definition, progress, [Mode.PAUSE])
    named = tuple(name for name in found if name not in progress.acknowledged)
    if not named:
        return None
    words = f"the candidate makes {_list(named)} worse; a person decides"
    return Decision(Verdict.FAIL, Action.ASK, words, named)


def _kept(definition: Definition, _: Progress, reading: Tick | Gap, __: Gates) -> Decision | None:
    """One arm of an A/B test: what moves the share is not decided here."""
    if not definition.kept:
        return None
    why = reading.why if isinstance(reading, Gap) else "the share is kept for an A/B test"
    return Decision(Verdict.NOT_YET, Action.HOLD, why)


def _unknown(
    definition: Definition, progress: Progress, reading: Tick | Gap, _: Gates
) -> Decision | None:
    """A gap in the readings is never a pass."""
    if isinstance(reading, Tick):
        return None
    if _overdue(definition, progress):
        return _ask(definition, reading.why)
    return Decision(Verdict.NOT_YET, Action.HOLD, reading.why)


def _overdue(definition: Definition, progress: Progress) -> bool:
    return progress.watched_s - progress.granted_s >= definition.horizon_s


def _ask(definition: Definition, why: str) -> Decision:
    words = f"{definition.horizon_s:.0f} s are over without a decision ({why}); a person decides"
    return Decision(Verdict.NOT_YET, Action.ASK, words)


def _exposure(
    definition: Definition, progress: Progress, _: Tick | Gap, __: Gates
) -> Decision | None:
    enough = not analysis.unmeasured(definition, progress)
    long = progress.step_s >= definition.step_s
    clear = enough and analysis.cleared(definition, progress)
    if not (enough and long) and not clear:
        return None
    if _suspected(definition, progress):
        return None
    why = "every metric is shown to do no harm" if clear else "no metric shows harm"
    seen = f"{why} after {progress.step_requests} requests in {progress.step_s:.3g} s"
    if progress.step < definition.last_step:
        return Decision(Verdict.PASS, Action.ADVANCE, seen)
    return Decision(Verdict.PASS, Action.PROMOTE, seen)


def _suspected(definition: Definition, progress: Progress) -> bool:
    """Half-way to the proof of harm, on the scale of its logarithm: no time to move more users."""
    log_e = analysis.evidence(definition, progress, Mode.AUTOMATIC)
    return log_e >= log(1.0 / definition.alpha) / 2


def _not_yet(definition: Definition, progress: Progress) -> Decision:
    if _overdue(definition, progress):
        return _ask(definition, _lacking(definition, progress))
    if progress.warm_s < definition.warm_up_s and progress.judged_s == 0.0:
        return Decision(Verdict.NOT_YET, Action.HOLD, f"warming up for {definition.warm_up_s:g} s")
    if progress.step_s >= definition.step_s and _suspected(definition, progress):
        log_e = analysis.evidence(definition, progress, Mode.AUTOMATIC)
        words = f"the step is prolonged: harm is suspected (e-value {_number(log_e)})"
        return Decision(Verdict.NOT_YET, Action.HOLD, words)
    return Decision(Verdict.NOT_YET, Action.HOLD, _lacking(definition, progress))


def _lacking(definition: Definition, progress: Progress) -> str:
    """How far the step has come."""
    waited = f"{progress.step_s:.3g} of {definition.step_s:.3g} s"
    late = [
        name
        for name in analysis.unmeasured(definition, progress)
        if progress.step_requests >= definition.min_requests
    ]
    if late:
        return f"{_list(tuple(late))} cannot be judged yet, {waited}"
    return f"{progress.step_requests} of {definition.min_requests} requests, {waited}"


def _list(names: tuple[MetricName, ...]) -> str:
    return " and ".join(name.value for name in names) or "something"


def _number(log_e: float) -> str:
    return f"{exp(log_e):.3g}" if log_e < 50 else f"10^{log_e / log(10):.0f}"
