"""What is wrong with a declaration, all at once: each with its place and how to mend it. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from triune.core.assignment import TOTAL
from triune.core.errors import ConfigError, Problem
from triune.core.mistakes import closest
from triune.delivery.abtest.model import OTHER, Declaration, Kind, Method, Metric, Role, Source
from triune.delivery.flags import definitions

SOURCE = "triune.toml"
Found = Iterator[tuple[str, str, str]]
"""Place below the test, what is wrong, how to mend it."""


def mistakes(declaration: Declaration) -> list[Problem]:
    """Every mistake that the declaration shows by itself."""
    rules: tuple[Callable[[Declaration], Found], ...] = (
        _where, _variants, _shares, _at_endpoint, _in_flag, _entering, _metrics, _judging,
        _segments,
    )  # fmt: skip
    return [
        Problem(SOURCE, ".".join(filter(None, ("tests", declaration.name, place))), what, mend)
        for rule in rules
        for place, what, mend in rule(declaration)
    ]


def _segments(declared: Declaration) -> Found:
    for name in _twice([segment.name for segment in declared.segments]):
        yield "segments", f"the segments {name!r} are there twice", "Keep one of them."
    for segment in declared.segments:
        for value in _twice((*segment.values, OTHER)):
            what = f"{segment.name!r} has the value {value!r} twice"
            yield "segments", what, f"Keep one; {OTHER!r} is always there."
        if declared.flag is not None and not segment.path.startswith("context."):
            what = f"the exposures of a flag have nothing at {segment.path!r}"
            yield "segments", what, "Leave `path` out: they have what the context says."


def _where(declared: Declaration) -> Found:
    if declared.flag is None and declared.endpoint is None:
        yield (
            "",
            "has neither a flag nor an endpoint",
            "Name what is compared: `flag` or `endpoint`.",
        )
    if declared.flag is not None and declared.endpoint is not None:
        yield (
            "flag",
            "a test is either of a flag or of an endpoint",
            "Leave one of them out: the gateway and the flag split by different salts.",
        )


def _variants(declared: Declaration) -> Found:
    names = [v.name for v in declared.variants]
    if len(names) < 2:
        yield "variants", f"{len(names)} variants are no comparison", "Declare two or more."
    for name in _twice(names):
        yield "variants", f"the variant {name!r} is there twice", "Give each its own name."
    if names and declared.control not in names:
        what = f"there is no variant {declared.control!r}"
        yield "control", what, closest(declared.control, names)


def _shares(declared: Declaration) -> Found:
    for variant in declared.variants:
        if variant.share < 1:
            what = f"{variant.name!r} gets less than one bucket of {TOTAL:,}"
            yield "variants", what, "Give it 0.01 percent or more."
    total = sum(v.share for v in declared.variants)
    if total > TOTAL:
        what = f"the variants come to {total / 100:g} percent"
        yield "variants", what, "Together they have at most 100."
    elif declared.endpoint is not None and total < TOTAL:
        what = f"the releases come to {total / 100:g} percent"
        yield "variants", what, "An endpoint's units all get one of them: make it 100."


def _at_endpoint(declared: Declaration) -> Found:
    if declared.endpoint is None:
        return
    if len(declared.variants) > 2:
        what = f"{len(declared.variants)} releases at one endpoint"
        yield "variants", what, "A gateway has a stable release and one candidate: compare two."
    for variant in declared.variants:
        if (variant.version is None) == (variant.release is None):
            what = f"{variant.name!r} needs a `version` or a `release`, and only one of them"
            yield "variants", what, "Write `version = 3`."
    if declared.salt != declared.endpoint:
        what = f"the gateway splits by {declared.endpoint!r}, not by {declared.salt!r}"
        yield "salt", what, "Leave it out."
    for name in ("layer", "eligibility", "holdout"):
        if getattr(declared, name) is not None:
            what = "the gateway splits all units of an endpoint"
            yield name, what, "Leave it out, or compare by a flag."


def _in_flag(declared: Declaration) -> Found:
    if declared.flag is None:
        return
    for variant in declared.variants:
        if variant.flag_variant is None:
            what = f"{variant.name!r} does not say what the flag gives"
            yield "variants", what, 'Write `flag_variant = "on"`.'
        if variant.version is not None or variant.release is not None:
            what = f"{variant.name!r} names a release, and the test is of a flag"
            yield "variants", what, "Leave it out."
    given = [v.flag_variant for v in declared.variants if v.flag_variant is not None]
    for name in _twice(given):
        yield "variants", f"two arms get {name!r}", "Compare variants that differ."
    if ":" in declared.salt or not declared.salt:
        yield "salt", f"{declared.salt!r} is no salt", "Use letters, digits, '-' and '_'."


def _entering(declared: Declaration) -> Found:
    for name, part in (("layer", declared.layer), ("holdout", declared.holdout)):
        if part is None:
            continue
        if part.first < 0 or part.size < 1 or part.first + part.size > TOTAL:
            what = f"{part.first} to {part.first + part.size - 1} are no buckets"
            yield name, what, f"There are {TOTAL:,}: 0 to {TOTAL - 1}."
        if part.name == declared.salt:
            what = (
                f"its salt {part.name!r} is that of the test, so that its variants get unlike units"
            )
            yield name, what, "Give them different names."
    if declared.layer and declared.holdout and declared.layer.name == declared.holdout.name:
        yield "layer", "has the salt of the holdout", "Give them different names."
    if declared.eligibility is not None:
        yield from _eligibility(declared.eligibility)


def _eligibility(rule: Any) -> Found:
    flag = {"state": "ENABLED", "variants": {"in": True}, "targeting": rule}
    try:
        definitions.read({"flags": {"f": flag}})
    except ConfigError as error:
        for problem in error.problems:
            place = problem.key.removeprefix("flags.f.targeting").strip(".")
            yield f"eligibility{'.' if place else ''}{place}", problem.what, problem.mend


def _metrics(declared: Declaration) -> Found:
    primary = [m.name for m in declared.metrics if m.role is Role.PRIMARY]
    if len(primary) != 1:
        told = ", ".join(primary) or "none"
        yield "metrics", f"one metric is the primary one, here {told}", 'Write `role = "primary"`.'
    for name in _twice([m.name for m in declared.metrics]):
        yield "metrics", f"the metric {name!r} is there twice", "Give each its own name."
    for metric in declared.metrics:
        for what, mend in _metric(metric):
            yield f"metrics.{metric.name}", what, mend
    if declared.non_inferior and len(primary) == 1 and declared.primary.margin <= 0.0:
        yield (
            "non_inferior",
            "needs the primary metric's `margin`",
            "Say how much worse is allowed.",
        )


def _metric(metric: Metric) -> Iterator[tuple[str, str]]:
    is_ratio = metric.kind is Kind.RATIO
    if is_ratio and metric.denominator is None:
        yield "a ratio needs a `denominator`", 'Write e.g. `denominator = { fold = "count" }`.'
    if not is_ratio and metric.denominator is not None:
        yield f"a {metric.kind.value} has no denominator", "Leave it out, or make it a ratio."
    if (metric.kind is Kind.QUANTILE) != (metric.quantile is not None):
        yield "`quantile` and the kind quantile go together", "Write `quantile = 0.95`, or neither."
    if metric.low is not None and metric.high is not None and metric.low >= metric.high:
        yield f"`low` {metric.low:g} is not below `high` {metric.high:g}", "Exchange them."
    if metric.window_s <= 0.0:
        yield "a window of no time", "Make `window_s` greater than 0."
    for field in (metric.value, metric.denominator):
        if field is not None and field.source is Source.EXPOSURE and field.name is not None:
            yield "exposures have no `outcome`", "Leave `outcome` out."
    yield from _covariate(metric, is_ratio=is_ratio)


def _covariate(metric: Metric, *, is_ratio: bool) -> Iterator[tuple[str, str]]:
    below = metric.covariate_denominator
    if below is not None and not (is_ratio and metric.covariate):
        yield "`covariate_denominator` is of a ratio with a covariate", "Leave it out."
    if is_ratio and metric.covariate and below is None:
        yield "the covariate of a ratio needs `covariate_denominator`", "Name that feature too."
    if metric.kind is Kind.QUANTILE and metric.covariate:
        yield "a quantile takes no covariate", "Leave it out."
    for name in (metric.covariate, below):
        if name is not None and ":" not in name:
            yield f"{name!r} is no feature", "Write `view:feature`."


def _judging(declared: Declaration) -> Found:
    if not 0.0 < declared.alpha < 0.5:
        yield "alpha", f"{declared.alpha:g} is no chance of a false winner", "0.05 is usual."
    if declared.planned_units < 2:
        yield "planned_units", f"{declared.planned_units} units show nothing", "Plan more."
    if declared.cycle_days < 0.0:
        yield "cycle_days", "is below 0", "Make it 7."
    if declared.longest_days < declared.cycle_days:
        what = f"{declared.longest_days:g} days are shorter than the cycle"
        yield "longest_days", what, f"Make it {declared.cycle_days:g} or more."
    if declared.method is Method.GROUP_SEQUENTIAL and declared.looks < 1:
        yield "looks", f"{declared.looks} looks", "Plan one or more."


def _twice(names: Iterable[str]) -> list[str]:
    return sorted(name for name, count in Counter(names).items() if count > 1)
