"""One effect, judged by the test's method. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from triune.delivery.abtest.model import Method
from triune.stats import group_sequential
from triune.stats.comparison import Comparison, Side, around
from triune.stats.effect import Effect
from triune.stats.fixed_horizon import welch
from triune.stats.sequential_effect import sequential


@dataclass(frozen=True, slots=True)
class Judge:
    """How an effect is judged at this look.

    Parameters
    ----------
    method: the test's
    alpha: of one comparison with control
    planned: units of both arms together, where a sequential interval is sharpest
    fractions: of the looks of a group-sequential test so far, this one included
    """

    method: Method
    alpha: float
    planned: float
    fractions: tuple[float, ...] = ()

    def compare(self, effect: Effect, side: Side = Side.BOTH, null: float = 0.0) -> Comparison:
        """Interval and p-value. A group-sequential or anytime p-value: keep the smallest."""
        if self.method is Method.SEQUENTIAL:
            return sequential(effect, self.alpha, self.planned, side, null)
        if self.method is Method.FIXED:
            return welch(effect, self.alpha, side, null)
        return self._at_planned_look(effect, side, null)

    def _at_planned_look(self, effect: Effect, side: Side, null: float) -> Comparison:
        sides = 2 if side is Side.BOTH else 1
        bound = group_sequential.bounds(self.fractions, self.alpha, sides=sides)[-1]
        z = Effect(effect.value - null, effect.error, effect.dof, effect.n).z
        z = max(-99.0, min(99.0, z))
        p = group_sequential.repeated_p(-z if side is Side.LESS else z, self.fractions, sides=sides)
        return around(effect.value, bound * effect.error, p, side)
