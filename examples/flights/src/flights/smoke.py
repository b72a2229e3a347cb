"""Is a candidate fit to answer about flights? Asked before it sees any user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log1p
from typing import TYPE_CHECKING

from flights.golden import golden

if TYPE_CHECKING:
    from triune.delivery.smoke import SmokeClient

LEAST_AUC = 0.55
ROWS = 40


def ranks_late_flights_higher(endpoint: SmokeClient) -> None:
    """Flights known to have been late score higher than flights known to have been on time."""
    inputs, late = golden()
    scores = _scores(endpoint, inputs)
    assert len(scores) == len(late), f"{len(scores)} answers for {len(late)} flights"
    assert all(0.0 <= score <= 1.0 for score in scores), "a score is not a probability"
    auc = area_under_curve(scores, late)
    assert auc > LEAST_AUC, f"AUC {auc:.3f} on known flights, at least {LEAST_AUC} is needed"


def reacts_to_delay(endpoint: SmokeClient) -> None:
    """An hour's recent delay at the origin never makes flights look more punctual."""
    rows = {name: values[:ROWS] for name, values in golden().inputs.items()}
    mean = {}
    for minutes in (0.0, 60.0):
        delayed = {"origin_delay_1h": minutes, "origin_delay_2h": minutes}
        delayed["origin_delay_log"] = log1p(minutes + 15.0)
        columns = {name: [value] * ROWS for name, value in delayed.items()}
        scores = _scores(endpoint, {**rows, **columns})
        mean[minutes] = sum(scores) / len(scores)
    assert mean[60.0] >= mean[0.0] - 1e-6, (
        f"with an hour's delay at the origin the mean score falls "
        f"from {mean[0.0]:.3f} to {mean[60.0]:.3f}"
    )


def area_under_curve(scores: list[float], late: list[bool]) -> float:
    """The chance that a late flight scores higher than one on time; ties count half."""
    above = [score for score, was_late in zip(scores, late, strict=True) if was_late]
    below = [score for score, was_late in zip(scores, late, strict=True) if not was_late]
    wins = sum((a > b) + 0.5 * (a == b) for a in above for b in below)
    return wins / (len(above) * len(below))


def _scores(endpoint: SmokeClient, inputs: Mapping[str, Sequence[object]]) -> list[float]:
    outputs = endpoint.infer(inputs)
    name = "score" if "score" in outputs else "predict"
    return [float(score) for score in outputs[name]]
