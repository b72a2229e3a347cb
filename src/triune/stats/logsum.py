"""Sums of numbers that are kept as logarithms, so that nothing overflows or vanishes."""

from __future__ import annotations

import math
from collections.abc import Sequence


def log_add(x: float, y: float) -> float:
    """ln(e^x + e^y); -inf stands for 0.

    >>> round(log_add(1000.0, 1000.0), 4), log_add(-math.inf, 2.0)
    (1000.6931, 2.0)
    """
    high, low = (x, y) if x >= y else (y, x)
    return high if low == -math.inf else high + math.log1p(math.exp(low - high))


def log_sum(logs: Sequence[float], rest: float = 0.0) -> float:
    """ln(sum of e^log + rest), for ``rest`` of at least 0; -inf for an empty sum.

    >>> log_sum([0.0, 0.0], 2.0) == math.log(4.0), log_sum([])
    (True, -inf)
    """
    log_rest = math.log(rest) if rest > 0.0 else -math.inf
    top = max(log_rest, *logs) if logs else log_rest
    if top == -math.inf:
        return top
    return top + math.log(math.fsum(math.exp(x - top) for x in (*logs, log_rest)))
