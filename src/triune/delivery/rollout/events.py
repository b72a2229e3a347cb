"""What a rollout tells the ledger besides its moves: looks, gates, comparisons, its end."""

from __future__ import annotations

from math import exp, isnan
from typing import Any

from triune.core.rollout_config import MetricName
from triune.delivery.rollout.cohorts import Drop
from triune.delivery.rollout.model import Look, Progress, Record, Wish
from triune.delivery.rollout.readings import Gap, Tick
from triune.delivery.rollout.shadow import ShadowTick, quantile
from triune.delivery.rollout.shadow_gate import Judgement
from triune.ledger.envelope import Event, event

ACTOR = "service:controller"
LOOKED = "rollout.looked"
COMPARED = "rollout.compared"
_LARGEST = 700.0


def looked(workspace: str, record: Record, look: Look) -> Event:
    """A look: the readings, each metric's evidence, the verdict, when the next one is due.

    Its id is the record's mark, so that a look told twice is recorded once.
    """
    cohorts = quality_facts(record)
    return event(
        LOOKED,
        record.release,
        workspace=workspace,
        actor=ACTOR,
        causes=(record.rollout,),
        identifier=record.mark,
        payload={
            "endpoint": record.endpoint,
            "rollout": record.rollout,
            "number": look.number,
            "verdict": look.verdict.value,
            "action": look.action.value,
            "reason": look.reason,
            "culprits": [name.value for name in look.culprits],
            "e": e_value(look.log_e),
            "needed": round(1.0 / record.definition.alpha, 6),
            "weight": record.definition.steps[look.step],
            "next_at": look.next_at,
            "reading": look.reading,
            "metrics": _metrics(record.progress),
            **({} if cohorts is None else {"quality": cohorts}),
        },
    )


def e_value(log_e: float) -> float:
    """An e-value as a number that JSON can hold."""
    return float(f"{exp(min(log_e, _LARGEST)):.6g}")


def facts(reading: Tick | Gap) -> dict[str, Any]:
    """What a look's event says of its reading."""
    if isinstance(reading, Gap):
        return {"gap": reading.why}
    (control, candidate), (bad, worse) = reading.requests(), reading.errors()
    return {
        "seconds": round(reading.seconds, 3),
        "control": control,
        "candidate": candidate,
        "control_errors": bad,
        "candidate_errors": worse,
    }


def _metrics(progress: Progress) -> dict[str, Any]:
    return {
        name.value: {
            "n_a": state.n_a,
            "n_b": state.n_b,
            "a": state.a,
            "b": state.b,
            "e": e_value(state.harm.log_e),
            "p": float(f"{state.harm.p:.6g}"),
            "no_harm_e": e_value(state.no_harm.log_e),
        }
        for name, state in progress.metrics.items()
    }


def quality_facts(record: Record) -> dict[str, Any] | None:
    """Cohorts of outcomes so far: judged, waiting, and left out by reason; predictions and outcomes
    that came too ``late``, outcomes that are ``unusable``. None without the metric `wrong`, and
    until the first look at it."""
    state = record.quality
    if state is None or all(m.name is not MetricName.WRONG for m in record.definition.metrics):
        return None
    return {
        "judged": state.judged,
        "waiting": len(state.shelf.waiting),
        "dropped": {why.value: state.dropped[why] for why in Drop if why in state.dropped},
        "late": state.late,
        "unusable": state.unusable,
    }


def compared(workspace: str, record: Record, judgement: Judgement) -> Event:
    """A look at a shadow: what came in this tick, all there was so far, the verdict."""
    total = record.shadow.total if record.shadow else ShadowTick()
    pairs, failures = record.compared
    return event(
        COMPARED,
        record.release,
        workspace=workspace,
        actor=ACTOR,
        causes=(record.rollout,),
        identifier=record.mark,
        payload={
            "endpoint": record.endpoint,
            "rollout": record.rollout,
            "verdict": judgement.verdict.value,
            "reason": judgement.words,
            "tick": {"pairs": pairs, "failures": failures},
            **shadow_facts(total),
        },
    )


def shadow_facts(total: ShadowTick) -> dict[str, Any]:
    """A comparison in a few numbers; times in milliseconds, None where there is nothing yet."""
    return {
        "pairs": total.pairs,
        "disagreements": total.disagreements,
        "failures": total.failures,
        "lost": total.lost,
        "skipped": total.skipped,
        "distance": _known(total.distance),
        "distance_max": total.distance_max,
        **{
            f"{arm}_p{round(q * 100)}_ms": _known(quantile(times, q) / 1000)
            for arm, times in (("live", total.live_us), ("shadow", total.shadow_us))
            for q in (0.5, 0.99)
        },
    }


def _known(value: float) -> float | None:
    return None if isnan(value) else round(value, 6)


def gated(workspace: str, endpoint: str, rollout: str, gate: str, wish: Wish) -> Event:
    """A person used a gate; the id is the wish's mark."""
    return event(
        "rollout.gated",
        f"rollout:{rollout}",
        workspace=workspace,
        actor=wish.actor,
        causes=(rollout,),
        identifier=wish.mark or None,
        payload={
            "endpoint": endpoint,
            "rollout": rollout,
            "gate": gate,
            "reason": wish.reason,
        },
    )


def finished(workspace: str, record: Record) -> Event:
    """A rollout is over, one way or another; the id is the record's mark."""
    return event(
        "rollout.finished",
        record.release,
        workspace=workspace,
        actor=ACTOR,
        causes=(record.rollout,),
        identifier=record.mark,
        payload={
            "endpoint": record.endpoint,
            "rollout": record.rollout,
            "outcome": record.outcome,
            "looks": record.progress.looks,
            "exposed": record.progress.exposed,
        },
    )
