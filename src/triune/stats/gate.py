"""One verdict from several metrics: the weighted mean of their e-values.

Definition
    ``E = sum_i w_i E_i`` with weights fixed beforehand that sum to at most 1. The gate fires when
    E reaches ``1/alpha``; metric i is a culprit when ``w_i E_i >= 1/alpha``.

Guarantee
    If no metric is harmed, each E_i is a nonnegative supermartingale that starts at 1, in one
    common filtration; so is their weighted mean, however the metrics depend on each other (they
    count the same requests), and the chance that it ever reaches ``1/alpha`` is at most
    ``alpha``. Naming culprits is as safe: ``w_i E_i >= 1/alpha`` has chance at most ``w_i alpha``
    for an unharmed metric whatever the others do, so the chance of naming any unharmed metric is
    at most ``alpha``. A product of e-values of the same requests has no such guarantee.

Source
    Vovk and Wang (2021), "E-values: calibration, combination and applications".

>>> log_es = [math.log(300.0), 0.0]
>>> round(math.exp(combine(log_es, [0.5, 0.5])), 6)
150.5
>>> culprits(log_es, [0.5, 0.5], alpha=0.01)
(0,)
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from triune.stats.logsum import log_sum


def combine(log_es: Sequence[float], weights: Sequence[float]) -> float:
    """ln of the weighted mean of the e-values whose logarithms are given.

    Weights that sum to less than 1 leave the rest at E = 1 (a metric that never speaks).
    Raises ValueError for weights that are negative, sum to more than 1, or do not match.
    """
    _check(log_es, weights)
    terms = [
        math.log(weight) + log_e
        for log_e, weight in zip(log_es, weights, strict=True)
        if weight > 0.0
    ]
    return log_sum(terms, max(0.0, 1.0 - math.fsum(weights)))


def culprits(log_es: Sequence[float], weights: Sequence[float], *, alpha: float) -> tuple[int, ...]:
    """The positions of the metrics that would fire the gate alone, most harmed first.

    May be empty though the gate fires: then several metrics carry it together.
    """
    _check(log_es, weights)
    shares = [
        math.log(weight) + log_e if weight > 0.0 else -math.inf
        for log_e, weight in zip(log_es, weights, strict=True)
    ]
    named = [i for i, share in enumerate(shares) if share >= -math.log(alpha)]
    return tuple(sorted(named, key=lambda i: -shares[i]))


def _check(log_es: Sequence[float], weights: Sequence[float]) -> None:
    if len(log_es) != len(weights):
        raise ValueError(f"{len(log_es)} e-values but {len(weights)} weights")
    if min(weights, default=0.0) < 0.0 or math.fsum(weights) > 1.0 + 1e-12:
        raise ValueError(f"weights must not be negative nor sum to more than 1: {weights}")
