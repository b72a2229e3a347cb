"""The verdict on a shadow. Pure.

``fail``
    when the confidence sequence of the disagreement rate, or of the failure rate, lies above what
    is allowed. Each is at ``1 - alpha / 2``, so a shadow within both limits is ever failed with a
    chance of at most ``alpha``, however often one looks.
``pass``
    when the planned number of pairs is reached, no interval lies above its limit and neither rate
    itself does. It is not proof of being within the limits: the upper ends say how much more can
    be true. (Asking the upper ends to be below would hold back a good shadow near the limit for
    ever; what comes after a shadow is a canary, which goes on watching.)
``not yet``
    otherwise: too few pairs, or a rate above its limit that chance still explains. More pairs end
    that, unless the true rate is the limit itself. What is lost makes no pairs, so it never passes.

Failures are counted of all answers whose fate is known (pairs and failures), disagreements of the
pairs. Assumes that requests are independent of each other, with a constant chance
(`triune.stats.bernoulli`); a client that repeats one request makes the verdict too sure.
"""

from __future__ import annotations

from dataclasses import dataclass

from triune.delivery.rollout.shadow import ShadowTick
from triune.delivery.rollout.verdict import Verdict
from triune.stats import bernoulli

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Limits:
    """What is planned and allowed: pairs to compare, the shares of disagreements and failures."""

    pairs: int
    disagreement: float
    failures: float
    alpha: float = 0.01


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict in words, and the intervals of both rates that it rests on."""

    verdict: Verdict
    words: str
    disagreement: Interval = (0.0, 1.0)
    failures: Interval = (0.0, 1.0)


def judge(total: ShadowTick, limits: Limits) -> Judgement:
    """The verdict on all that was compared so far."""
    planned = max(1, limits.pairs)
    differ = bernoulli.interval(
        total.disagreements, total.pairs, limits.alpha / 2, t_opt=float(planned)
    )
    fail = bernoulli.interval(total.failures, total.trials, limits.alpha / 2, t_opt=float(planned))

    def found(verdict: Verdict, words: str) -> Judgement:
        return Judgement(verdict, words, differ, fail)

    if fail[0] > limits.failures:
        return found(Verdict.FAIL, _failing(total, fail, limits))
    if differ[0] > limits.disagreement:
        return found(Verdict.FAIL, _differing(total, differ, limits))
    if total.pairs < planned:
        return found(Verdict.NOT_YET, f"{total.pairs} of {planned} answers are compared")
    if total.failures > limits.failures * total.trials:
        return found(Verdict.NOT_YET, f"{_failing(total, fail, limits)}; chance may explain it")
    if total.disagreements > limits.disagreement * total.pairs:
        return found(Verdict.NOT_YET, f"{_differing(total, differ, limits)}; chance may explain it")
    words = (
        f"{total.disagreements} of {total.pairs} answers differ (at most {differ[1]:.2%} in truth)"
        f", {total.failures} of {total.trials} failed (at most {fail[1]:.2%})"
    )
    return found(Verdict.PASS, words)


def _failing(total: ShadowTick, interval: Interval, limits: Limits) -> str:
    return (
        f"the shadow failed {total.failures} of {total.trials} requests that the live release "
        f"answered (at least {interval[0]:.2%} in truth, {limits.failures:.2%} allowed)"
    )


def _differing(total: ShadowTick, interval: Interval, limits: Limits) -> str:
    return (
        f"{total.disagreements} of {total.pairs} answers differ from the live ones "
        f"(at least {interval[0]:.2%} in truth, {limits.disagreement:.2%} allowed)"
    )
