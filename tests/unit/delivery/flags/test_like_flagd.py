"""Random flags and contexts: the same answers as flagd's own core."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import OpenFeatureError

from triune.delivery.flags.evaluator import Evaluator
from triune.delivery.flags.model import Flag, Kind

NAMES = ("country", "age", "tags", "version", "nested", "flag", "nothing")
TEXTS = st.sampled_from(["de", "us", "on", "off", "", "1", "1.2.3", "v2", "a@b.com", "10", "x"])
SCALARS = st.one_of(
    TEXTS, st.integers(-3, 30), st.booleans(), st.none(), st.sampled_from([0.5, 2.0, 1e300])
)
PATHS = st.sampled_from(
    [*NAMES, "nested.country", "tags.0", "tags.length", "targetingKey", "$flagd.flagKey", "gone"]
)
VALUES = st.one_of(SCALARS, st.lists(SCALARS, max_size=3))
CONTEXTS = st.fixed_dictionaries(
    {},
    optional={
        "country": SCALARS,
        "age": SCALARS,
        "tags": st.lists(SCALARS, max_size=4),
        "version": TEXTS,
        "nested": st.dictionaries(st.sampled_from(NAMES), SCALARS, max_size=2),
        "flag": st.booleans(),
    },
)
PARTS = st.lists(
    st.one_of(
        st.tuples(TEXTS, st.integers(-5, 60)).map(list),
        TEXTS.map(lambda text: [text]),
        st.tuples(TEXTS, SCALARS).map(list),
    ),
    max_size=4,
)
UNARY = ("!", "!!", "-", "cat", "log", "min", "max", "+", "*")
BINARY = (
    "==", "!=", "===", "!==", "<", ">", "<=", ">=", "in", "+", "-", "*", "/", "%", "min", "max",
    "cat", "merge", "starts_with", "ends_with", "and", "or",
)  # fmt: skip


def _operations(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    def op(name: str, *args: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        return st.tuples(*args).map(lambda found: {name: list(found)})

    pairs = st.sampled_from(BINARY).flatmap(lambda name: op(name, inner, inner))
    single = st.sampled_from(UNARY).flatmap(lambda name: op(name, inner))
    chosen = st.lists(inner, min_size=1, max_size=5).map(lambda args: {"if": args})
    versions = st.tuples(
        inner, st.sampled_from(["=", "!=", "<", "<=", ">", ">=", "^", "~", "?"]), inner
    ).map(lambda found: {"sem_ver": list(found)})
    lists = st.sampled_from(["map", "filter", "all", "some", "none"]).flatmap(
        lambda name: op(name, st.one_of(VARS, VALUES), inner)
    )
    reduced = op("reduce", st.one_of(VARS, VALUES), inner, SCALARS)
    split = st.tuples(st.lists(inner, max_size=1), PARTS).map(
        lambda found: {"fractional": [*found[0], *found[1]]}
    )
    other = st.one_of(
        op("substr", inner, st.integers(-3, 3)),
        op("missing", PATHS),
        op("missing_some", st.integers(0, 2), st.lists(PATHS, max_size=3)),
        op("nonsense", inner),
        op("between", inner, inner),
        op("<", inner, inner, inner),
    )
    return st.one_of(pairs, single, chosen, versions, lists, reduced, split, other)


VARS = st.one_of(
    PATHS.map(lambda path: {"var": path}),
    st.tuples(PATHS, SCALARS).map(lambda found: {"var": list(found)}),
    st.sampled_from([{"var": ""}, {"var": []}, {"var": 0}]),
)
RULES = st.recursive(st.one_of(VALUES, VARS), _operations, max_leaves=8)
VARIANTS = {"on": True, "off": False, "de": "text", "1": 1, "x": 2.5, "10": {"a": [1]}, "us": None}
DEFAULTS: dict[Kind, Any] = {
    Kind.BOOLEAN: True,
    Kind.STRING: "default",
    Kind.INTEGER: 77,
    Kind.FLOAT: 7.5,
    Kind.OBJECT: {"default": 1},
}


def theirs(
    definition: dict[str, Any], kind: Kind, key: str | None, attributes: dict[str, Any]
) -> tuple[Any, ...]:
    core = FlagdCore()
    core.set_flags({"flags": {"f": dict(definition)}, "metadata": {"set": "s", "who": "set"}})
    resolve = getattr(core, f"resolve_{kind.value}_value")
    try:
        found = resolve("f", DEFAULTS[kind], EvaluationContext(key, attributes))
    except OpenFeatureError as error:
        return (DEFAULTS[kind], None, "ERROR", error.error_code.value)
    except Exception:
        return (DEFAULTS[kind], None, "ERROR", "GENERAL")
    if kind is Kind.FLOAT and isinstance(VARIANTS.get(str(found.variant)), bool):
        return (DEFAULTS[kind], None, "ERROR", "TYPE_MISMATCH")  # to Python a boolean is a number
    return (found.value, found.variant, str(found.reason), None, dict(found.flag_metadata))


def ours(
    definition: dict[str, Any], kind: Kind, key: str | None, attributes: dict[str, Any]
) -> tuple[Any, ...]:
    flag = Flag(
        "f",
        definition["state"] == "ENABLED",
        definition["variants"],
        definition.get("defaultVariant") or None,
        definition.get("targeting"),
        definition.get("metadata", {}),
    )
    found = Evaluator([flag], {"set": "s", "who": "set"}).evaluate(
        "f", DEFAULTS[kind], kind=kind, targeting_key=key, attributes=attributes
    )
    if found.error is not None:
        return (found.value, found.variant, found.reason.value, found.error.value)
    return (found.value, found.variant, found.reason.value, None, dict(found.metadata))


@settings(max_examples=1500, deadline=None)
@given(
    targeting=st.one_of(RULES, RULES.map(lambda rule: {"if": [rule, "on", "off"]})),
    state=st.sampled_from(["ENABLED", "ENABLED", "ENABLED", "DISABLED"]),
    default=st.sampled_from(["on", "off", "x", "gone", "", "1"]),
    kind=st.sampled_from([kind for kind in Kind if kind is not Kind.ANY]),
    key=st.one_of(st.none(), st.text(max_size=6)),
    attributes=CONTEXTS,
)
def test_every_answer_is_flagds(
    targeting: Any,
    state: str,
    default: str,
    kind: Kind,
    key: str | None,
    attributes: dict[str, Any],
) -> None:
    definition = {
        "state": state,
        "variants": VARIANTS,
        "defaultVariant": default,
        "targeting": targeting,
        "metadata": {"who": "flag"},
    }
    wanted = theirs(definition, kind, key, attributes)
    assert ours(definition, kind, key, attributes) == wanted
