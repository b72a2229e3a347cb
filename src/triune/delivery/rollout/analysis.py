"""What one more tick says of each metric. Pure: progress and readings in, progress out.

Every metric is a count of requests that went wrong in one way, so that one kernel judges them
all (`triune.stats.harm`); a latency counts the requests above the pooled quantile
(`triune.stats.tails`). Control is the stable arm or a fresh baseline.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import exp, inf, log

import msgspec

from triune.core.rollout_config import MetricName, Mode
from triune.delivery.gateway.model import Stratum, Tally
from triune.delivery.rollout.model import Definition, Look, Metric, MetricState, Progress
from triune.delivery.rollout.readings import Tick
from triune.stats import gate, harm, noharm
from triune.stats.noharm import NoHarmState
from triune.stats.tails import tail_counts

Counts = tuple[int, int, int, int]
"""Requests of control and candidate, events of control and candidate."""

LATENCY_TICK_LIMIT = 8.0
"""One tick multiplies the evidence of a latency by no more than this: a process that is held up
for a moment makes all its answers of that moment slow, which is one event and not a hundred."""

LEAST_NO_HARM_MARGIN = 0.02
NO_HARM_MARGIN = 0.5
"""The odds that the no-harm side must exclude: half as many again."""


def warm(progress: Progress, tick: Tick) -> Progress:
    """A tick of the warm-up: counted, not judged."""
    passed = tick.seconds
    warmer = msgspec.structs.replace(
        progress, watched_s=progress.watched_s + passed, warm_s=progress.warm_s + passed
    )
    return _exposed(warmer, tick)


def judged(
    definition: Definition,
    progress: Progress,
    tick: Tick,
    cohorts: Sequence[Counts],
) -> Progress:
    """A tick that counts: every metric's evidence, and the step's exposure.

    ``cohorts`` are those whose outcomes have become known.
    """
    states = dict(progress.metrics)
    for metric in definition.metrics:
        before = states.get(metric.name, MetricState())
        rows = cohorts if metric.name is MetricName.WRONG else counts(definition, metric, tick)
        states[metric.name] = _step(definition, metric, before, rows, progress.step)
    _, candidate = tick.requests()
    return _exposed(
        msgspec.structs.replace(
            progress,
            watched_s=progress.watched_s + tick.seconds,
            judged_s=progress.judged_s + tick.seconds,
            step_s=progress.step_s + tick.seconds,
            step_requests=progress.step_requests + candidate,
            metrics=states,
            times_a=_merged(progress.times_a, tick.control),
            times_b=_merged(progress.times_b, tick.candidate),
        ),
        tick,
    )


def _merged(times: Mapping[float, int], arm: Mapping[Stratum, Tally]) -> dict[float, int]:
    found = Counter(times)
    for tally in arm.values():
        found.update(tally.latency)
    return dict(found)


def next_step(progress: Progress) -> Progress:
    """At the beginning of the next step: what shows harm is kept; that there is none must be shown
    anew, since more users may meet what the first ones did not."""
    states = {
        name: msgspec.structs.replace(state, no_harm=NoHarmState(), step_n=state.n_b)
        for name, state in progress.metrics.items()
    }
    return msgspec.structs.replace(
        progress, step=progress.step + 1, step_s=0.0, step_requests=0, metrics=states
    )


def counts(definition: Definition, metric: Metric, tick: Tick) -> list[Counts]:
    """A metric's counts in a tick, by stratum."""
    rows = []
    for stratum in Stratum:
        control = tick.control.get(stratum, Tally())
        candidate = tick.candidate.get(stratum, Tally())
        if metric.quantile is None:
            rows.append(_events(metric.name, control, candidate))
        elif _times(control) and _times(candidate):
            rows.append(_slow(definition, metric, metric.quantile, control, candidate))
    return rows


def _events(name: MetricName, control: Tally, candidate: Tally) -> Counts:
    arms = control, candidate
    n_a, n_b = (arm.requests for arm in arms)
    a, b = (int(getattr(arm, name.value)) for arm in arms)
    # They are the only events that are not among the answers.
    return (n_a + a, n_b + b, a, b) if name is MetricName.ABANDONED else (n_a, n_b, a, b)


def _times(tally: Tally) -> Mapping[float, int]:
    """How long requests took; those that callers gave up on, longer than any answer."""
    given_up = {inf: tally.abandoned} if tally.abandoned else {}
    return {**tally.latency, **given_up}


def _slow(
    definition: Definition, metric: Metric, quantile: float, control: Tally, candidate: Tally
) -> Counts:
    a, b = _times(control), _times(candidate)
    edges = sorted(a.keys() | b.keys())
    tail = tail_counts(
        edges,
        [a.get(edge, 0) for edge in edges],
        [b.get(edge, 0) for edge in edges],
        quantile,
        margin=metric.margin,
        floor=definition.latency_floor_us,
    )
    return tail.n_a, tail.n_b, tail.a, tail.b


def _step(
    definition: Definition,
    metric: Metric,
    before: MetricState,
    rows: Sequence[Counts],
    step: int,
) -> MetricState:
    slow = metric.quantile is not None
    better, worse = metric.offset(step)
    test = harm.HarmTest(
        # A latency's margin has moved the candidate's times already; its counts get none.
        margin=0.0 if slow else metric.margin,
        planned_ticks=definition.planned_ticks,
        phi=metric.phi,
        tick_limit=LATENCY_TICK_LIMIT if slow else inf,
        offset=worse,
    )
    excluded = max((1.0 + NO_HARM_MARGIN) * exp(better) - 1.0, LEAST_NO_HARM_MARGIN)
    clear = noharm.NoHarmTest(margin=excluded, phi=metric.phi)
    return MetricState(
        harm=harm.step(test, before.harm, rows),
        no_harm=noharm.step(clear, before.no_harm, rows),
        n_a=before.n_a + sum(row[0] for row in rows),
        n_b=before.n_b + sum(row[1] for row in rows),
        a=before.a + sum(row[2] for row in rows),
        b=before.b + sum(row[3] for row in rows),
        step_n=before.step_n,
    )


def _exposed(progress: Progress, tick: Tick) -> Progress:
    (_, requests), (_, errors) = tick.requests(), tick.errors()
    return msgspec.structs.replace(
        progress,
        exposed=progress.exposed + requests,
        exposed_errors=progress.exposed_errors + errors,
    )


def evidence(definition: Definition, progress: Progress, mode: Mode) -> float:
    """The log of the weighted e-value of all metrics in a mode; minus infinity without any."""
    metrics = _of(definition, mode)
    if not metrics:
        return float("-inf")
    return gate.combine(
        [_state(progress, m).harm.log_e for m in metrics], [m.weight for m in metrics]
    )


def gate_evidence(definition: Definition, progress: Progress) -> float:
    """The log e-value that is shown: of the automatic gate."""
    return evidence(definition, progress, Mode.AUTOMATIC)


def since(definition: Definition, progress: Progress, look: Look) -> float | None:
    """When the harm of a look's culprits most plausibly began, in seconds since 1970."""
    found = []
    for name in look.culprits:
        state = progress.metrics.get(name, MetricState()).harm
        if state.onset is not None:
            found.append(look.at - (state.ticks - state.onset + 1) * definition.tick_s)
    return min(found, default=look.at - definition.tick_s if look.culprits else None)


def culprits(
    definition: Definition, progress: Progress, modes: Iterable[Mode]
) -> tuple[MetricName, ...]:
    """The metrics that show harm by themselves; else, when a gate fired, the strongest one."""
    bar = log(1.0 / definition.alpha)
    found: list[MetricName] = []
    for mode in modes:
        metrics = _of(definition, mode)
        shares = {m.name: log(m.weight) + _state(progress, m).harm.log_e for m in metrics}
        alone = [name for name, value in shares.items() if value >= bar]
        if not alone and evidence(definition, progress, mode) >= bar:
            alone = [max(shares, key=lambda name: shares[name])]
        found += alone
    return tuple(found)


def cleared(definition: Definition, progress: Progress) -> bool:
    """Whether every metric that can roll back has been shown to do no harm."""
    bar = log(1.0 / definition.alpha)
    metrics = _of(definition, Mode.AUTOMATIC)
    return bool(metrics) and all(_state(progress, m).no_harm.log_e >= bar for m in metrics)


def unmeasured(definition: Definition, progress: Progress) -> tuple[MetricName, ...]:
    """The metrics that can roll back and have not seen enough of the candidate in this step."""
    return tuple(
        metric.name
        for metric in _of(definition, Mode.AUTOMATIC)
        if (state := _state(progress, metric)).n_a == 0
        or state.n_b - state.step_n < definition.min_requests
    )


def _of(definition: Definition, mode: Mode) -> list[Metric]:
    return [metric for metric in definition.metrics if metric.mode is mode]


def _state(progress: Progress, metric: Metric) -> MetricState:
    states: Mapping[MetricName, MetricState] = progress.metrics
    return states.get(metric.name, MetricState())
