"""What one more tick says of each metric. Pure: progress and readings in, progress out.

Every metric is a count of requests that went wrong in one way, so that one kernel judges them
all (`triune.stats.harm`); a latency counts the requests above the pooled quantile
(`triune.stats.tails`). Control is the stable arm or a fresh baseline.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import log

import msgspec

from triune.core.rollout_config import MetricName, Mode
from triune.delivery.gateway.model import Stratum, Tally
from triune.delivery.rollout.model import Definition, Look, Metric, MetricState, Progress, Scatter
from triune.delivery.rollout.readings import Tick
from triune.stats import dispersion, gate, harm, noharm
from triune.stats.tails import tail_counts

Counts = tuple[int, int, int, int]
"""Requests of control and candidate, events of control and candidate."""

MOST_SCATTER, LEAST_SCATTER = 200, 10
"""Ticks of a warm-up that are kept, and how many it takes to say how events scatter."""

NO_HARM_MARGIN = 0.5
"""The odds that the no-harm side must exclude: half as many again."""


def warm(definition: Definition, progress: Progress, tick: Tick) -> Progress:
    """A tick of the warm-up: counted, not judged.

    With a fresh baseline it shows how much two instances of one release differ.
    """
    scatter = dict(progress.scatter)
    if tick.stable is not None:
        same = Tick(tick.seconds, tick.stable, tick.control)
        for metric in definition.metrics:
            rows = [_scatter(row) for row in counts(definition, metric, same)]
            scatter[metric.name] = (*scatter.get(metric.name, ()), *rows)[-MOST_SCATTER:]
    warmer = msgspec.structs.replace(
        progress, warm_s=progress.warm_s + tick.seconds, scatter=scatter
    )
    return _exposed(warmer, tick)


def _scatter(row: Counts) -> Scatter:
    n_a, n_b, a, b = row
    return b, a + b, n_b / (n_a + n_b) if n_a + n_b else 0.0, n_a + n_b


def settled(definition: Definition, progress: Progress) -> Definition:
    """The definition after the warm-up: a metric's phi is at least what that has shown."""

    def of(metric: Metric) -> Metric:
        rows = progress.scatter.get(metric.name, ())
        if len(rows) < LEAST_SCATTER:
            return metric
        found = dispersion.phi(*zip(*rows, strict=True))
        return msgspec.structs.replace(metric, phi=max(metric.phi, round(found.phi, 4)))

    return msgspec.structs.replace(definition, metrics=tuple(map(of, definition.metrics)))


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
        states[metric.name] = _step(definition, metric, before, rows)
    _, candidate = tick.requests()
    return _exposed(
        msgspec.structs.replace(
            progress,
            judged_s=progress.judged_s + tick.seconds,
            step_s=progress.step_s + tick.seconds,
            step_requests=progress.step_requests + candidate,
            metrics=states,
        ),
        tick,
    )


def counts(definition: Definition, metric: Metric, tick: Tick) -> list[Counts]:
    """A metric's counts in a tick, by stratum."""
    rows = []
    for stratum in Stratum:
        control = tick.control.get(stratum, Tally())
        candidate = tick.candidate.get(stratum, Tally())
        if metric.quantile is None:
            field = metric.name.value
            rows.append(
                (
                    control.requests,
                    candidate.requests,
                    int(getattr(control, field)),
                    int(getattr(candidate, field)),
                )
            )
        elif control.latency and candidate.latency:
            rows.append(_slow(definition, metric, metric.quantile, control, candidate))
    return rows


def _slow(
    definition: Definition, metric: Metric, quantile: float, control: Tally, candidate: Tally
) -> Counts:
    edges = sorted(control.latency.keys() | candidate.latency.keys())
    tail = tail_counts(
        edges,
        [control.latency.get(edge, 0) for edge in edges],
        [candidate.latency.get(edge, 0) for edge in edges],
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
) -> MetricState:
    # A latency's margin has moved the candidate's times already; its counts get none.
    margin = 0.0 if metric.quantile is not None else metric.margin
    test = harm.HarmTest(margin=margin, planned_ticks=definition.planned_ticks, phi=metric.phi)
    clear = noharm.NoHarmTest(margin=NO_HARM_MARGIN, phi=metric.phi)
    return MetricState(
        harm=harm.step(test, before.harm, rows),
        no_harm=noharm.step(clear, before.no_harm, rows),
        n_a=before.n_a + sum(row[0] for row in rows),
        n_b=before.n_b + sum(row[1] for row in rows),
        a=before.a + sum(row[2] for row in rows),
        b=before.b + sum(row[3] for row in rows),
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


def _of(definition: Definition, mode: Mode) -> list[Metric]:
    return [metric for metric in definition.metrics if metric.mode is mode]


def _state(progress: Progress, metric: Metric) -> MetricState:
    states: Mapping[MetricName, MetricState] = progress.metrics
    return states.get(metric.name, MetricState())
