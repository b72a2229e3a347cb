"""From ``[tests.<name>]``, or a few words of a command, to a declaration. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from triune.core.abtest_config import (
    FieldTable,
    HoldoutTable,
    Promotion,
    TestMetricTable,
    TestTable,
    TestVariantTable,
)
from triune.core.assignment import TOTAL
from triune.core.config import slug
from triune.delivery.abtest.model import (
    Absent,
    Better,
    Declaration,
    Field,
    Fold,
    Kind,
    Layer,
    Metric,
    Role,
    Segment,
    Source,
    Variant,
)

_FOLDS = {
    Kind.PROPORTION: Fold.ANY,
    Kind.MEAN: Fold.SUM,
    Kind.COUNT: Fold.COUNT,
    Kind.RATIO: Fold.SUM,
    Kind.QUANTILE: Fold.LAST,
}
LATENCY_MARGIN = 0.10
"""How much slower a candidate's answers may be by default."""


@dataclass(frozen=True, slots=True)
class Declared:
    """A test as ``triune.toml`` has it, and what follows when a variant has won."""

    declaration: Declaration
    promotion: Promotion = Promotion.ASK


def of_table(name: str, table: TestTable, holdout: HoldoutTable | None = None) -> Declaration:
    """The declaration that a table of ``triune.toml`` makes."""
    variants = tuple(_variant(one) for one in table.variants)
    control = table.control or (variants[0].name if variants else "")
    at_endpoint = table.endpoint is not None
    return Declaration(
        name=name,
        hypothesis=table.hypothesis,
        variants=in_order(variants, control) if at_endpoint else variants,
        control=control,
        metrics=tuple(_metric(one) for one in table.metrics),
        salt=table.endpoint or table.salt or name,
        unit=table.unit,
        endpoint=table.endpoint,
        flag=table.flag,
        layer=None
        if table.layer is None
        else Layer(table.layer.name, table.layer.first, table.layer.size),
        holdout=None if at_endpoint else held_out(holdout),
        eligibility=table.eligibility,
        planned_units=table.planned_units,
        minimum_units=table.minimum_units,
        cycle_days=table.cycle_days,
        longest_days=table.longest_days,
        method=table.method,
        alpha=table.alpha,
        multiplicity=table.multiplicity,
        looks=table.looks,
        non_inferior=table.non_inferior,
        segments=tuple(
            Segment(one.name, one.values, one.path or f"context.{one.name}")
            for one in table.segments
        ),
    )


def held_out(table: HoldoutTable | None) -> Layer | None:
    """The units that no test takes."""
    return None if table is None else Layer(table.name, 0, _buckets(table.percent))


def in_order(variants: Sequence[Variant], control: str) -> tuple[Variant, ...]:
    """At an endpoint the candidate's buckets come first, as in every rollout."""
    return tuple(sorted(variants, key=lambda v: v.name == control))


def of_versions(
    endpoint: str,
    control: int,
    candidate: int,
    *,
    outcome: str | None,
    percent: float = 50.0,
    name: str = "",
    hypothesis: str = "",
) -> Declaration:
    """A test of two versions of an endpoint's model, judged by how far their predictions were from
    the outcomes; slower answers are not tolerated."""
    share = _buckets(percent)
    return Declaration(
        name=name or f"{slug(endpoint)}-{control}-{candidate}",
        hypothesis=hypothesis or f"version {candidate} predicts better than version {control}",
        variants=(
            Variant("b", share, version=candidate),
            Variant("a", TOTAL - share, version=control),
        ),
        control="a",
        metrics=metrics_of_predictions(outcome),
        salt=endpoint,
        endpoint=endpoint,
    )


def of_variants(
    flag: str,
    control: str,
    candidate: str,
    metrics: Sequence[Metric],
    *,
    percent: float = 50.0,
    name: str = "",
    hypothesis: str = "",
    layer: Layer | None = None,
    holdout: Layer | None = None,
) -> Declaration:
    """A test of two variants of a flag; ``percent`` of the units in it get the candidate."""
    share = _buckets(percent)
    called = name or slug(f"{flag}-{control}-{candidate}".lower())
    return Declaration(
        name=called,
        hypothesis=hypothesis or f"{candidate!r} is better than {control!r}",
        variants=(
            Variant(control, TOTAL - share, flag_variant=control),
            Variant(candidate, share, flag_variant=candidate),
        ),
        control=control,
        metrics=tuple(metrics),
        salt=called,
        flag=flag,
        layer=layer,
        holdout=holdout,
    )


def metrics_of_predictions(outcome: str | None) -> tuple[Metric, ...]:
    """What two models are compared by when nothing is said: how wrong they are, how slow."""
    told = Field(fold=Fold.COUNT, name=outcome)
    answers = Field(Source.EXPOSURE, "duration_ms", Fold.SUM)
    return (
        Metric(
            "squared-error",
            Kind.RATIO,
            Role.PRIMARY,
            Field(path="squared_error", fold=Fold.SUM, name=outcome),
            told,
            better=Better.LOWER,
            window_s=30 * 86_400.0,
            absent=Absent.LEFT_OUT,
            minimum_effect=0.05,
        ),
        Metric(
            "wrong",
            Kind.RATIO,
            Role.SECONDARY,
            Field(path="wrong", fold=Fold.SUM, name=outcome),
            told,
            better=Better.LOWER,
            window_s=30 * 86_400.0,
            absent=Absent.LEFT_OUT,
        ),
        Metric(
            "latency-ms",
            Kind.RATIO,
            Role.GUARDRAIL,
            answers,
            Field(Source.EXPOSURE, "duration_ms", Fold.COUNT),
            better=Better.LOWER,
            margin=LATENCY_MARGIN,
        ),
    )


def metric_of_outcome(outcome: str, kind: Kind, *, better: Better = Better.HIGHER) -> Metric:
    """The primary metric that a command names: what became of an outcome."""
    return Metric(
        outcome, kind, Role.PRIMARY, Field(fold=_FOLDS[kind], name=outcome), better=better
    )


def _variant(table: TestVariantTable) -> Variant:
    return Variant(
        table.name, _buckets(table.percent), table.flag_variant, table.release, table.version
    )


def _metric(table: TestMetricTable) -> Metric:
    return Metric(
        name=table.name,
        kind=table.kind,
        role=table.role,
        value=_field(table, _FOLDS[table.kind]),
        denominator=None if table.denominator is None else _field(table.denominator, Fold.SUM),
        better=table.better,
        window_s=table.window_s,
        absent=table.absent,
        quantile=table.quantile,
        low=table.low,
        high=table.high,
        covariate=table.covariate,
        covariate_denominator=table.covariate_denominator,
        minimum_effect=table.minimum_effect,
        margin=table.margin,
        margin_absolute=table.margin_absolute,
    )


def _field(table: FieldTable, usual: Fold) -> Field:
    return Field(table.source, table.path, table.fold or usual, table.outcome)


def _buckets(percent: float) -> int:
    return round(percent * TOTAL / 100)
