"""Every mistake of a declaration, at once, each with its place."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.abtest_facts import DECLARED, METRICS, SEGMENTED
from triune.delivery.abtest.declaring import of_versions
from triune.delivery.abtest.mistakes import mistakes
from triune.delivery.abtest.model import (
    Declaration,
    Field,
    Kind,
    Layer,
    Metric,
    Role,
    Source,
    Variant,
)

SERVED = of_versions("flights/delay", 3, 4, outcome="late")
PRIMARY = METRICS[0]


def test_what_is_right_has_none() -> None:
    assert mistakes(DECLARED) == []
    assert mistakes(SERVED) == []


def with_metric(**changes: object) -> Declaration:
    return replace(DECLARED, metrics=(PRIMARY, replace(METRICS[1], **changes)))  # type: ignore[arg-type]


OLD, NEW = DECLARED.variants
COUNTRY = SEGMENTED.segments[0]


@pytest.mark.parametrize(
    ("declared", "place", "words"),
    [
        (replace(DECLARED, flag=None), "", "neither a flag nor an endpoint"),
        (replace(DECLARED, endpoint="a"), "flag", "either of a flag or of an endpoint"),
        (replace(DECLARED, variants=(OLD,)), "variants", "no comparison"),
        (replace(DECLARED, variants=(OLD, OLD)), "variants", "there twice"),
        (replace(DECLARED, control="olt"), "control", "no variant 'olt'"),
        (replace(DECLARED, variants=(OLD, replace(NEW, share=6000))), "variants", "110 percent"),
        (replace(DECLARED, variants=(OLD, replace(NEW, share=0))), "variants", "less than one"),
        (replace(DECLARED, variants=(OLD, replace(NEW, flag_variant=None))), "variants", "say"),
        (replace(DECLARED, variants=(OLD, replace(NEW, version=2))), "variants", "names a release"),
        (
            replace(DECLARED, variants=(OLD, replace(NEW, flag_variant="off"))),
            "variants",
            "two arms get",
        ),
        (replace(DECLARED, salt="a:b"), "salt", "no salt"),
        (replace(DECLARED, segments=(COUNTRY, COUNTRY)), "segments", "there twice"),
        (
            replace(DECLARED, segments=(replace(COUNTRY, values=("de", "other")),)),
            "segments",
            "the value 'other' twice",
        ),
        (replace(DECLARED, segments=(replace(COUNTRY, path="ip"),)), "segments", "nothing at 'ip'"),
        (replace(DECLARED, layer=Layer("l", 9000, 2000)), "layer", "are no buckets"),
        (replace(DECLARED, layer=Layer("checkout")), "layer", "unlike units"),
        (
            replace(DECLARED, layer=Layer("l"), holdout=Layer("l", 0, 5)),
            "layer",
            "salt of the holdout",
        ),
        (replace(DECLARED, eligibility={"has": [1]}), "eligibility", "unknown operation"),
        (replace(DECLARED, metrics=()), "metrics", "here none"),
        (replace(DECLARED, metrics=(PRIMARY, PRIMARY)), "metrics", "there twice"),
        (with_metric(kind=Kind.RATIO), "metrics.revenue", "needs a `denominator`"),
        (with_metric(denominator=Field()), "metrics.revenue", "has no denominator"),
        (with_metric(quantile=0.5), "metrics.revenue", "go together"),
        (with_metric(low=500.0), "metrics.revenue", "is not below"),
        (with_metric(window_s=0.0), "metrics.revenue", "no time"),
        (with_metric(covariate="clicks"), "metrics.revenue", "is no feature"),
        (with_metric(covariate_denominator="a:b"), "metrics.revenue", "with a covariate"),
        (
            with_metric(value=Field(Source.EXPOSURE, name="order")),
            "metrics.revenue",
            "have no `outcome`",
        ),
        (replace(DECLARED, non_inferior=True), "non_inferior", "needs the primary"),
        (replace(DECLARED, alpha=0.7), "alpha", "false winner"),
        (replace(DECLARED, longest_days=1.0), "longest_days", "shorter than the cycle"),
        (replace(SERVED, salt="mine"), "salt", "the gateway splits by"),
        (replace(SERVED, layer=Layer("l")), "layer", "all units of an endpoint"),
        (
            replace(SERVED, variants=(*SERVED.variants, Variant("c", 1, version=5))),
            "variants",
            "3 releases at one",
        ),
        (
            replace(
                SERVED, variants=(Variant("a", 4000, version=1), Variant("b", 5000, version=2))
            ),
            "variants",
            "90 percent",
        ),
        (
            replace(SERVED, variants=(Variant("a", 5000), Variant("b", 5000, version=2))),
            "variants",
            "needs a `version` or a `release`",
        ),
    ],
)
def test_each_mistake_has_its_place(declared: Declaration, place: str, words: str) -> None:
    found = {(p.key, p.what) for p in mistakes(declared)}
    key = ".".join(filter(None, ("tests", declared.name, place)))
    assert any(k.startswith(key) and words in what for k, what in found), found


def test_all_are_said_at_once() -> None:
    worst = replace(
        DECLARED, control="x", salt="a:b", alpha=0.9, metrics=(Metric("m", Kind.RATIO),)
    )
    assert len(mistakes(worst)) >= 5
    assert {p.mend for p in mistakes(worst)} - {""}
    assert worst.metrics[0].role is Role.SECONDARY
