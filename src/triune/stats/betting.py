"""The mean of values in [0, 1] by betting against each possible mean: the tightest interval here.

Definition
    Against every mean ``m`` of a grid two gamblers start with the capital 1/2 each. Before value
    ``x_t`` is seen one stakes ``l`` on "above m", the other on "below m"::

        K+ *= 1 + l+ (x_t - m),   K- *= 1 - l- (x_t - m)
        l = sqrt(2 ln(2/alpha) / (s^2 t ln(1 + t))),   l+ <= 1/(2 m),   l- <= 1/(2 (1 - m))

    with ``s^2`` the variance of the values before, shrunk towards 1/4. m is left out once either
    capital exceeds ``1/alpha``. The interval is widened by one step of the grid on either side.

Parameters
    ``alpha`` the error, ``grid`` the number of steps between 0 and 1.

Assumptions
    Values in [0, 1], each with the same mean given the past: independent or not.

Guarantee
    The chance that the interval ever, after any number of values, leaves the mean out is at most
    ``alpha``. Strict, without a normal approximation. (Under the true mean both capitals are
    martingales and their sum starts at 1; Ville's inequality.)

Source
    Waudby-Smith and Ramdas (2024), "Estimating means of bounded random variables by betting".
    Agrees with confseq 0.0.11 (``betting_cs`` with its default bets).

>>> game = Betting(0.05)
>>> for value in [0.4, 0.6] * 500:
...     game.add(value)
>>> [round(float(end), 3) for end in game.interval()]
[0.49, 0.51]
"""

from __future__ import annotations

import math

import numpy as np

from triune.stats.mixture_bound import log_threshold


class Betting:
    """The capitals against every mean of the grid, after the values so far.

    Raises ValueError unless ``0 < alpha < 1`` and ``grid >= 2``.
    """

    def __init__(self, alpha: float, grid: int = 1000) -> None:
        if grid < 2:
            raise ValueError(f"the grid needs at least 2 steps, not {grid}")
        self._threshold = log_threshold(alpha)
        self._budget = log_threshold(alpha / 2.0)
        self._means = np.linspace(0.0, 1.0, grid + 1)
        with np.errstate(divide="ignore"):
            self._most_up, self._most_down = 0.5 / self._means, 0.5 / (1.0 - self._means)
        start = math.log(0.5)
        self._up, self._down = np.full(grid + 1, start), np.full(grid + 1, start)
        self._n, self._total, self._squares = 0, 0.0, 0.0

    def add(self, value: float) -> None:
        """Settle the bets on one more value. Raises ValueError unless it lies in [0, 1]."""
        if not 0.0 <= value <= 1.0:
            raise ValueError(f"a value must lie in [0, 1], not {value}")
        stake, distance = self._stake(), value - self._means
        with np.errstate(divide="ignore"):
            self._up += np.log1p(np.minimum(stake, self._most_up) * distance)
            self._down += np.log1p(-np.minimum(stake, self._most_down) * distance)
        self._n += 1
        self._total += value
        self._squares += (value - (0.5 + self._total) / (self._n + 1)) ** 2

    def interval(self) -> tuple[float, float]:
        """The interval of the mean so far, within [0, 1].

        The whole of [0, 1] when every mean is left out: the assumptions do not hold then.
        """
        left = np.flatnonzero(np.maximum(self._up, self._down) <= self._threshold)
        if not len(left):
            return 0.0, 1.0
        low, high = max(0, left[0] - 1), min(len(self._means) - 1, left[-1] + 1)
        return float(self._means[low]), float(self._means[high])

    def _stake(self) -> float:
        t = self._n + 1
        variance = (0.25 + self._squares) / (self._n + 1)
        return math.sqrt(2.0 * self._budget / (t * math.log1p(t) * variance))
