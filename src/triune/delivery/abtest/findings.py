"""What an analysis says: words for each metric and variant, and for the split of the units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from triune.delivery.abtest.model import Role
from triune.delivery.abtest.readings import Memory

RATIO_ALPHA = 0.001
"""Below this p-value the arms did not get the units they should, and nothing is concluded."""


class Finding(StrEnum):
    """What a comparison shows."""

    BETTER = "better"
    WORSE = "worse"
    NOT_WORSE = "not worse"
    OPEN = "open"
    NOT_YET = "not yet"


FINDINGS: dict[Finding, str] = {
    Finding.BETTER: "The variant is better than control.",
    Finding.WORSE: "The variant is worse; where there is a margin, by more than it.",
    Finding.NOT_WORSE: "The variant is not worse than control by more than the margin.",
    Finding.OPEN: "Neither is shown.",
    Finding.NOT_YET: "It cannot be judged yet.",
}


@dataclass(frozen=True, slots=True)
class Estimate:
    """An effect with its interval; an end is None where nothing bounds it, or none is given yet."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Compared:
    """A metric of a variant against control.

    Parameters
    ----------
    n_control, n_candidate: units
    control, candidate: their values, before adjustment; None without units
    difference: candidate minus control, in the metric's unit, adjusted by CUPED
    relative: the same as a share of control; None while control is too near to 0
    p: of no difference (with a margin: of harm); the smallest of all looks, unless fixed
    p_adjusted: among the goals; None for guardrails
    noise_left: the share of the variance that CUPED leaves; 1 without
    waits: what is missing, in words
    """

    metric: str
    variant: str
    role: Role
    finding: Finding
    segment: str = ""
    n_control: int = 0
    n_candidate: int = 0
    control: float | None = None
    candidate: float | None = None
    difference: Estimate | None = None
    relative: Estimate | None = None
    p: float | None = None
    p_adjusted: float | None = None
    noise_left: float = 1.0
    waits: str = ""

    @property
    def shown(self) -> Estimate | None:
        """The effect that people are shown: the relative one, where there is one."""
        return self.relative or self.difference


@dataclass(frozen=True, slots=True)
class UnitRatio:
    """Did the variants get the units they should? ``p`` may be looked at any time."""

    counts: Mapping[str, int]
    expected: Mapping[str, float]
    p: float
    chi_square: float

    @property
    def blocked(self) -> bool:
        """Whether nothing may be concluded."""
        return self.p < RATIO_ALPHA


@dataclass(frozen=True, slots=True)
class Analysis:
    """A test at one look. ``alpha`` is that of one comparison; ``memory`` is for the next look.

    ``due`` says whether this is a moment at which the method allows a judgement.
    """

    ratio: UnitRatio
    comparisons: tuple[Compared, ...]
    alpha: float
    units: int
    days: float
    due: bool
    memory: Memory

    def of(self, metric: str, variant: str) -> Compared:
        """One comparison. Raises KeyError."""
        found = {(c.metric, c.variant): c for c in self.comparisons}
        return found[metric, variant]
