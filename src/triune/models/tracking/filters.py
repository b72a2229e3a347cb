"""Conditions and orders on runs as people write them: ``auc>0.6``, ``params.depth=3``."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from triune.core.errors import Refused
from triune.ledger.envelope import microseconds
from triune.ledger.runs import ATTRIBUTES, Condition, Field, Order

_CONDITION = re.compile(r"\s*(?P<name>.+?)\s*(?P<operator>>=|<=|!=|==|=|>|<)\s*(?P<value>.+?)\s*\Z")
_PREFIXES = {"params.": Field.PARAM, "metrics.": Field.METRIC}
_TIMES = ("started", "finished")


def condition(text: str) -> Condition:
    """The condition in a text. A name is an attribute of the run (id, name, status, started,
    finished, model), ``params.<name>``, or else a metric.

    Times are ISO 8601, parameters are compared as text.

    Raises
    ------
    Refused: (``run-filter-invalid``) it is no condition, or a metric's value is no number.
    """
    found = _CONDITION.match(text)
    if found is None:
        raise _invalid(text, "it has no operator (= != < <= > >=)")
    field, key = _field(found["name"])
    return Condition(field, key, found["operator"], _value(field, key, found["value"], text))


def order(name: str, *, ascending: bool = False) -> Order:
    """The order by an attribute, a parameter or a metric."""
    field, key = _field(name)
    return Order(field, key, descending=not ascending)


def _field(name: str) -> tuple[Field, str]:
    for prefix, field in _PREFIXES.items():
        if name.startswith(prefix):
            return field, name.removeprefix(prefix)
    return (Field.ATTRIBUTE if name in ATTRIBUTES else Field.METRIC), name


def _value(field: Field, key: str, value: str, text: str) -> str | float:
    plain = value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"" else value
    if field is Field.METRIC:
        try:
            return float(plain)
        except ValueError:
            what = f"{plain!r} is no number; write params.{key} if {key!r} is a parameter"
            raise _invalid(text, what) from None
    if field is Field.ATTRIBUTE and key in _TIMES:
        try:
            return microseconds(datetime.fromisoformat(plain).astimezone(UTC))
        except ValueError:
            raise _invalid(text, f"{plain!r} is no ISO 8601 time") from None
    return plain


def _invalid(text: str, why: str) -> Refused:
    return Refused(
        "run-filter-invalid",
        f"{text!r} is no condition on runs: {why}",
        hint="Write for example `auc>0.6`, `params.depth=3` or `status=finished`.",
    )
