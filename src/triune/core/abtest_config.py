"""``[tests.<name>]``: an A/B test, declared before its first unit is exposed."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from triune.core.rollout_config import StrictTable

TestName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]
Percent = Annotated[float, Field(gt=0, le=100)]


class Kind(StrEnum):
    """What is compared between the arms."""

    PROPORTION = "proportion"
    MEAN = "mean"
    COUNT = "count"
    RATIO = "ratio"
    QUANTILE = "quantile"


KINDS: dict[Kind, str] = {
    Kind.PROPORTION: "The share of units of which something is true.",
    Kind.MEAN: "The mean of the units' values.",
    Kind.COUNT: "How often something happened, a unit.",
    Kind.RATIO: "One total over another, e.g. clicks over sessions, with units as what varies.",
    Kind.QUANTILE: "The value below which a given share of the units lies.",
}


class Better(StrEnum):
    """Which direction is the good one."""

    HIGHER = "higher"
    LOWER = "lower"


class Role(StrEnum):
    """What a metric is there for."""

    PRIMARY = "primary"
    SECONDARY = "secondary"
    GUARDRAIL = "guardrail"


class Method(StrEnum):
    """When the test may be looked at."""

    SEQUENTIAL = "sequential"
    FIXED = "fixed"
    GROUP_SEQUENTIAL = "group-sequential"


METHODS: dict[Method, str] = {
    Method.SEQUENTIAL: "At any time, as often as one likes.",
    Method.FIXED: "Once, when the planned units are reached and the cycle is over.",
    Method.GROUP_SEQUENTIAL: "A planned number of times, on the way to a firm number of units.",
}


class Multiplicity(StrEnum):
    """How several goals are judged together."""

    HOLM = "holm"
    BH = "bh"


class Source(StrEnum):
    """Which events a value is read from."""

    OUTCOME = "outcome"
    EXPOSURE = "exposure"


class Fold(StrEnum):
    """How the values of a unit's several events become the unit's value."""

    SUM = "sum"
    COUNT = "count"
    ANY = "any"
    LAST = "last"


class Absent(StrEnum):
    """What a unit without any event counts as."""

    ZERO = "zero"
    LEFT_OUT = "left-out"


class Promotion(StrEnum):
    """What follows when a variant has won."""

    ASK = "ask"
    AUTOMATIC = "automatic"


class FieldTable(StrictTable):
    """``[tests.<name>.metrics.denominator]``: what a ratio is divided by."""

    source: Source = Field(
        default=Source.OUTCOME,
        strict=False,
        description="`outcome` or `exposure`: which events of the unit",
    )
    outcome: str | None = Field(
        default=None, description="only outcomes of this name; default: those of any"
    )
    path: str = Field(default="value", description="where in the event its number is")
    fold: Fold | None = Field(
        default=None,
        strict=False,
        description="how a unit's several events become one number: `sum`, `count`, `any`, `last`",
    )


class TestMetricTable(FieldTable):
    """``[[tests.<name>.metrics]]``: one thing to compare between the variants."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=100)] = Field(
        description="unique in the test"
    )
    kind: Kind = Field(
        strict=False, description="`proportion`, `mean`, `count`, `ratio` or `quantile`"
    )
    role: Role = Field(
        default=Role.SECONDARY,
        strict=False,
        description="`primary` (one of them), `secondary` or `guardrail`",
    )
    better: Better = Field(default=Better.HIGHER, strict=False, description="`higher` or `lower`")
    denominator: FieldTable | None = Field(default=None, description="of a ratio")
    window_s: Annotated[float, Field(gt=0)] = Field(
        default=86_400.0, description="seconds after a unit's first exposure that outcomes count"
    )
    absent: Absent = Field(
        default=Absent.ZERO,
        strict=False,
        description="a unit without an event counts as `zero` or is `left-out`",
    )
    quantile: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        default=None, description="which one, of a quantile"
    )
    low: float | None = Field(default=None, description="smaller values count as this")
    high: float | None = Field(default=None, description="larger values count as this")
    covariate: str | None = Field(
        default=None, description="feature `view:feature` from before the exposure (CUPED)"
    )
    covariate_denominator: str | None = Field(
        default=None, description="the same of a ratio's denominator"
    )
    minimum_effect: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="smallest relative effect worth knowing, for the plan"
    )
    margin: Annotated[float, Field(ge=0)] = Field(
        default=0.0, description="worsening that is tolerated, relative to control"
    )
    margin_absolute: bool = Field(
        default=False, description="the margin is in the metric's own unit instead"
    )


class TestVariantTable(StrictTable):
    """``[[tests.<name>.variants]]``: one arm."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=63)] = Field(
        description="unique in the test"
    )
    percent: Percent = Field(description="of the units that enter the test")
    flag_variant: str | None = Field(default=None, description="what the flag gives")
    version: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="version of the endpoint's model"
    )
    release: str | None = Field(default=None, description="or a release")


class SliceTable(StrictTable):
    """``[tests.<name>.layer]``: tests of one layer whose slices do not overlap share no unit."""

    name: TestName = Field(description="the layer")
    first: Annotated[int, Field(ge=0, le=9_999)] = Field(
        default=0, description="first of its 10,000 buckets"
    )
    size: Annotated[int, Field(ge=1, le=10_000)] = Field(description="number of buckets")


class HoldoutTable(StrictTable):
    """``[holdout]``: units that are in no test of a flag."""

    name: TestName = Field(default="holdout", description="its salt")
    percent: Percent = Field(description="of all units")


class SegmentTable(StrictTable):
    """``[[tests.<name>.segments]]``: a way to divide the units, for the report."""

    name: TestName = Field(
        description="unique in the test; of a flag, the name in the evaluation context"
    )
    values: tuple[Annotated[str, StringConstraints(min_length=1, max_length=100)], ...] = Field(
        strict=False, min_length=1, max_length=50, description="all others count as `other`"
    )
    path: str | None = Field(
        default=None,
        description="where an exposure's event says it; default: `context.<name>`",
    )


class TestTable(StrictTable):
    """``[tests.<name>]``: an A/B test between variants of a flag, or releases of an endpoint."""

    hypothesis: Annotated[str, StringConstraints(min_length=1)] = Field(
        description="what is expected, and why"
    )
    flag: str | None = Field(default=None, description="the flag whose variants are compared")
    endpoint: str | None = Field(
        default=None, description="the endpoint whose releases are compared"
    )
    variants: tuple[TestVariantTable, ...] = Field(
        strict=False, description="the arms; together at most 100 percent"
    )
    control: str | None = Field(default=None, description="default: the first variant")
    metrics: tuple[TestMetricTable, ...] = Field(strict=False, description="what is compared")
    unit: str = Field(default="user", description="what a unit is, as the feature store calls it")
    salt: TestName | None = Field(
        default=None, description="what splits a flag's units; default: the test's name"
    )
    layer: SliceTable | None = Field(default=None, description="the units that may enter")
    eligibility: dict[str, Any] | None = Field(
        default=None, description="rule in flagd's JSON Logic on the context; default: everybody"
    )
    planned_units: Annotated[int, Field(ge=2)] = Field(
        default=10_000, description="units planned for each arm"
    )
    minimum_units: Annotated[int, Field(ge=2)] = Field(
        default=1_000, description="units in each arm before a sequential test may promote"
    )
    cycle_days: Annotated[float, Field(ge=0)] = Field(
        default=7.0, description="how many days it lasts at least"
    )
    longest_days: Annotated[float, Field(gt=0)] = Field(
        default=90.0, description="after so many days without a decision a person is asked"
    )
    method: Method = Field(
        default=Method.SEQUENTIAL,
        strict=False,
        description="`sequential` (looks at any time), `fixed` (one) or `group-sequential`",
    )
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = Field(
        default=0.05, description="chance of a false winner"
    )
    multiplicity: Multiplicity = Field(
        default=Multiplicity.HOLM, strict=False, description="several goals: `holm` or `bh`"
    )
    looks: Annotated[int, Field(ge=1, le=100)] = Field(
        default=5, description="planned looks of a group-sequential test"
    )
    non_inferior: bool = Field(
        default=False, description="not worse than the primary metric's margin is enough"
    )
    segments: tuple[SegmentTable, ...] = Field(
        default=(), strict=False, description="in which the metrics are compared as well"
    )
    promote: Promotion = Field(
        default=Promotion.ASK,
        strict=False,
        description="a winner: a person is asked (`ask`), or it is promoted (`automatic`)",
    )
