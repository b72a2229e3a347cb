"""The mean of values in [0, 1] with an interval that adapts to how much they vary.

Definition
    With ``m_i`` the mean of the values before the i-th (1/2 before the first) and
    ``V = sum (x_i - m_i)^2``, the lower bound is ``mean - u(V) / n``, where u is the
    gamma-exponential mixture boundary with scale 1 (:mod:`triune.stats.gamma_exponential`); the
    upper bound is one minus the lower bound of ``1 - x``.

Parameters
    ``alpha`` the error, ``v_opt`` the V at which the interval is nearly as tight as possible (the
    planned n times the variance expected), fixed before the data.

Assumptions
    Values in [0, 1], each with the same mean given the past: independent or not. Scale other
    ranges first; values that have no bound must be cut off at one fixed before the test.

Guarantee
    The chance that the interval ever, at any n, leaves the mean out is at most ``alpha``. Strict,
    without a normal approximation.

Source
    Howard, Ramdas, McAuliffe and Sekhon (2021), theorem 4; Waudby-Smith and Ramdas (2024).
    confseq 0.0.11 gives the same bounds at a quarter of its alpha for each side; here each side
    has one half.

>>> state = Spread.of([0.4, 0.6] * 500)
>>> [round(end, 3) for end in interval(state, 0.05, v_opt=10.0)]
[0.487, 0.513]
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from triune.stats import gamma_exponential


@dataclass(frozen=True, slots=True)
class Spread:
    """What the interval needs of the values so far; of constant size.

    ``spread`` is V: the sum of squared distances of each value from the mean of those before.
    """

    n: int = 0
    total: float = 0.0
    spread: float = 0.0

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """The state after all the values, in their order."""
        state = cls()
        for value in values:
            state = state.add(value)
        return state

    def add(self, value: float) -> Spread:
        """The state after one more value. Raises ValueError unless it lies in [0, 1]."""
        if not 0.0 <= value <= 1.0:
            raise ValueError(f"a value must lie in [0, 1], not {value}")
        before = self.total / self.n if self.n else 0.5
        return Spread(self.n + 1, self.total + value, self.spread + (value - before) ** 2)


def interval(state: Spread, alpha: float, v_opt: float) -> tuple[float, float]:
    """The interval of the mean, each side with ``alpha / 2``, within [0, 1]."""
    if state.n == 0:
        return 0.0, 1.0
    mean, radius = state.total / state.n, _radius(state, alpha / 2.0, v_opt)
    return max(0.0, mean - radius), min(1.0, mean + radius)


def lower(state: Spread, alpha: float, v_opt: float) -> float:
    """A lower bound of the mean that fails with a chance of at most ``alpha``.

    >>> round(lower(Spread.of([0.4, 0.6] * 500), 0.025, v_opt=10.0), 3)
    0.487
    """
    if state.n == 0:
        return 0.0
    return max(0.0, state.total / state.n - _radius(state, alpha, v_opt))


def _radius(state: Spread, alpha: float, v_opt: float) -> float:
    return gamma_exponential.bound(state.spread, alpha, v_opt, 1.0, alpha) / state.n
