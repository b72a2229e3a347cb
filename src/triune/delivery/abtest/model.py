"""What an A/B test is made of: its declaration, fixed before the first unit is exposed.

Everything here is immutable and reads back from JSON as it was written (``msgspec`` knows
dataclasses and enums). ``mistakes`` in `triune.delivery.abtest.mistakes` says what is wrong with a
declaration; nothing here is checked when it is made.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from triune.core.abtest_config import (
    KINDS,
    METHODS,
    Absent,
    Better,
    Fold,
    Kind,
    Method,
    Multiplicity,
    Role,
    Source,
)
from triune.core.assignment import TOTAL, bucket, salted

__all__ = [
    "KINDS",
    "METHODS",
    "Absent",
    "Better",
    "Declaration",
    "Field",
    "Fold",
    "Kind",
    "Layer",
    "Method",
    "Metric",
    "Multiplicity",
    "Role",
    "Source",
    "Variant",
]


@dataclass(frozen=True, slots=True)
class Field:
    """Where a unit's value comes from.

    Parameters
    ----------
    source: the outcomes of the unit, or its exposures themselves
    path: a dotted path into the event's payload, e.g. ``value``; ``COUNT`` needs none
    fold: how several events become one value; ``ANY`` is 1 when any value is neither 0 nor false
    name: only outcomes of this name; None: of any
    """

    source: Source = Source.OUTCOME
    path: str = "value"
    fold: Fold = Fold.LAST
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Metric:
    """One thing to compare between the arms.

    Parameters
    ----------
    name: unique in the test
    kind: what is compared
    role: one metric of a test is the primary one
    value: where a unit's value (of a ratio: its numerator) comes from
    denominator: of a ratio
    better: which direction is the good one
    window_s: outcomes count that come within so many seconds after the unit's first exposure
    absent: what a unit without an event counts as
    quantile: which one, between 0 and 1, of a quantile metric
    low, high: the unit's value (of a ratio: its numerator) is moved into these limits, which are
        fixed before the test; None: unlimited
    covariate: a feature, ``view:feature``, whose value from before the first exposure makes the
        estimate less noisy (CUPED); of a ratio the numerator before
    covariate_denominator: of a ratio with a covariate
    minimum_effect: the smallest relative effect that is worth knowing, e.g. 0.02; for the plan
    margin: the tolerated worsening, relative to control (0.05 is 5 %): of a guardrail, and of a
        primary metric that must not be worse instead of being better (``non_inferior``)
    margin_absolute: the margin is in the metric's own unit instead
    """

    name: str
    kind: Kind
    role: Role = Role.SECONDARY
    value: Field = Field()
    denominator: Field | None = None
    better: Better = Better.HIGHER
    window_s: float = 86_400.0
    absent: Absent = Absent.ZERO
    quantile: float | None = None
    low: float | None = None
    high: float | None = None
    covariate: str | None = None
    covariate_denominator: str | None = None
    minimum_effect: float | None = None
    margin: float = 0.0
    margin_absolute: bool = False

    @property
    def columns(self) -> int:
        """How many numbers a unit contributes: value, denominator, and the same before."""
        own = 2 if self.kind is Kind.RATIO else 1
        return 2 * own if self.covariate is not None else own

    def row(
        self,
        value: float,
        denominator: float = 1.0,
        before: float = 0.0,
        before_denominator: float = 1.0,
    ) -> tuple[float, ...]:
        """A unit's contribution, as `Cell.add` takes it, with the limits applied.

        Arguments that the metric has no use for are not looked at. A unit that was not there
        before the test has 0 before.

        >>> Metric("revenue", Kind.MEAN, high=100.0).row(250.0)
        (100.0,)
        >>> Metric("ctr", Kind.RATIO, covariate="u:clicks", covariate_denominator="u:views").row(
        ...     2, 9, 3, 7
        ... )
        (2.0, 9.0, 3.0, 7.0)
        """
        limited = self._limited(float(value))
        if self.kind is Kind.RATIO:
            own = (limited, float(denominator))
            if self.covariate is None:
                return own
            return (*own, float(before), float(before_denominator))
        return (limited,) if self.covariate is None else (limited, float(before))

    def _limited(self, value: float) -> float:
        if self.kind is Kind.PROPORTION:
            return 1.0 if value else 0.0
        if self.low is not None and value < self.low:
            return self.low
        if self.high is not None and value > self.high:
            return self.high
        return value


@dataclass(frozen=True, slots=True)
class Variant:
    """One arm: what its units get, and how many of the salt's 10,000 buckets are its own.

    Any of ``flag_variant`` (of the test's flag), ``release`` and ``version`` (a model version, at
    the test's endpoint) may be given, also together.
    """

    name: str
    share: int
    flag_variant: str | None = None
    release: str | None = None
    version: int | None = None


@dataclass(frozen=True, slots=True)
class Layer:
    """A part of the units: those whose bucket in the layer lies in [first, first + size).

    Tests with slices of the same layer that do not overlap never share a unit. A holdout is a
    slice that no test takes.
    """

    name: str
    first: int = 0
    size: int = TOTAL

    def holds(self, unit: str) -> bool:
        """Whether a unit belongs to the slice."""
        return self.first <= salted(self.name, unit) < self.first + self.size

    def overlaps(self, other: Layer) -> bool:
        """Whether both slices have a bucket in common.

        >>> Layer("checkout", 0, 5000).overlaps(Layer("checkout", 5000, 5000))
        False
        """
        apart = self.first + self.size <= other.first or other.first + other.size <= self.first
        return self.name == other.name and not apart


@dataclass(frozen=True, slots=True)
class Segment:
    """A way to divide the units, by something that the event of their first exposure says.

    Parameters
    ----------
    name: unique in the test
    values: fixed before the test; whatever else there is, is ``other``
    path: a dotted path into the exposure's payload
    """

    name: str
    values: tuple[str, ...]
    path: str

    @property
    def labels(self) -> tuple[str, ...]:
        """Every segment that there may be, e.g. ``country=de``."""
        return tuple(f"{self.name}={value}" for value in (*self.values, OTHER))

    def label(self, found: object) -> str:
        """The segment of a unit whose exposure has ``found`` at the path.

        >>> Segment("country", ("de", "fr"), "context.country").label("fr")
        'country=fr'
        >>> Segment("new", ("true",), "context.new").label(True)
        'new=true'
        """
        text = str(found).lower() if isinstance(found, bool) else str(found)
        known = isinstance(found, str | int) and text in self.values
        return f"{self.name}={text if known else OTHER}"


OTHER = "other"


@dataclass(frozen=True, slots=True)
class Declaration:
    """An A/B test as it was declared.

    Parameters
    ----------
    name: unique in the workspace
    hypothesis: what is expected and why, for people
    variants: the arms; together they have at most 10,000 buckets, the rest is not in the test
    control: the name of the variant that the others are compared with
    metrics: one primary metric, any number of secondary ones and guardrails
    salt: what splits the units among the variants
    unit: what a unit is, for people and for the feature store, e.g. ``user`` or ``tailnum``
    endpoint: whose releases are compared, and where the winner is promoted
    flag: whose variants are compared, and whose default the winner becomes
    layer: the units that may enter at all; None: all
    holdout: units that enter no test; None: there are none
    eligibility: a rule in flagd's JSON Logic over the unit's context; None: everybody
    planned_units: in the smallest arm: where a fixed test has its one look, a group-sequential
        one its last, and a sequential one is sharpest
    minimum_units: in the smallest arm, before a sequential test may promote
    cycle_days: how long it lasts at least; whole weeks see every weekday alike
    longest_days: when a test without a decision is put before a person
    method, alpha, multiplicity: how it is judged
    looks: planned, of a group-sequential test
    non_inferior: the primary metric need not be better, only not worse than its margin
    segments: in which the metrics are compared as well, for the report
    """

    name: str
    hypothesis: str
    variants: tuple[Variant, ...]
    control: str
    metrics: tuple[Metric, ...]
    salt: str
    unit: str = "user"
    endpoint: str | None = None
    flag: str | None = None
    layer: Layer | None = None
    holdout: Layer | None = None
    eligibility: Any = None
    planned_units: int = 10_000
    minimum_units: int = 1_000
    cycle_days: float = 7.0
    longest_days: float = 90.0
    method: Method = Method.SEQUENTIAL
    alpha: float = 0.05
    multiplicity: Multiplicity = Multiplicity.HOLM
    looks: int = 5
    non_inferior: bool = False
    segments: tuple[Segment, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """All segments of all kinds."""
        return tuple(label for segment in self.segments for label in segment.labels)

    @property
    def primary(self) -> Metric:
        """The metric that decides. Raises StopIteration without one, which is a mistake."""
        return next(m for m in self.metrics if m.role is Role.PRIMARY)

    @property
    def candidates(self) -> tuple[Variant, ...]:
        """The variants besides control."""
        return tuple(v for v in self.variants if v.name != self.control)

    @property
    def shares(self) -> dict[str, int]:
        """The buckets of each variant."""
        return {v.name: v.share for v in self.variants}

    def metric(self, name: str) -> Metric:
        """The metric of a name. Raises KeyError."""
        found = {m.name: m for m in self.metrics}
        return found[name]

    def held_to_margin(self, metric: Metric) -> bool:
        """Whether a metric must not be worse than its margin, instead of being better."""
        if metric.role is Role.PRIMARY:
            return self.non_inferior
        return metric.role is Role.GUARDRAIL

    def ranges(self) -> Iterator[tuple[Variant, int, int]]:
        """Each variant with its first bucket and the one after its last, in the order given."""
        first = 0
        for variant in self.variants:
            yield variant, first, first + variant.share
            first += variant.share

    def variant_of(self, unit: str) -> str | None:
        """The variant that a unit is assigned to, eligible or not; None: it is not in the test.

        At an endpoint by the pair of salt and unit, as the gateway does; in a flag by the one text
        of both, as a rule can say it (`triune.core.assignment.salted`). The same unit always has
        the same one. Raises `triune.core.errors.Refused` for a unit that is no Unicode text.
        """
        if self.layer is not None and not self.layer.holds(unit):
            return None
        if self.holdout is not None and self.holdout.holds(unit):
            return None
        place = bucket(self.salt, unit) if self.endpoint else salted(self.salt, unit)
        for variant, first, end in self.ranges():
            if first <= place < end:
                return variant.name
        return None
