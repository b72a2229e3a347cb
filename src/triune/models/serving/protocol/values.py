"""The elements of a tensor: their type, finiteness and range."""

from __future__ import annotations

from math import isfinite
from typing import Any

from triune.models.serving.faults import Fault, bad_request
from triune.models.serving.tensors import KINDS, TensorSpec, Values

Limits = tuple[float, float] | None
"""The smallest and the largest value that may be sent; None where there is no order."""


def limits_of(spec: TensorSpec, largest: float) -> Limits:
    """The range of the datatype, and for floats of what the model computes with."""
    kind = KINDS[spec.datatype]
    if kind.low is None or kind.high is None:
        return None
    if kind.json is float:
        return max(kind.low, -largest), min(kind.high, largest)
    return kind.low, kind.high


def check_values(spec: TensorSpec, values: Values, limits: Limits) -> Values:
    """The values as the datatype's Python type, each within the limits.

    Refuses the first that is of another type (``value-wrong-type``), not finite
    (``value-not-finite``) or outside the datatype (``value-out-of-range``).
    """
    kind = KINDS[spec.datatype]
    if kind.json is float:
        return [_number(spec, value, limits) for value in values]
    value: Any
    for value in values:
        if type(value) is not kind.json:
            raise _wrong_type(spec, value)
        if limits is not None and not limits[0] <= value <= limits[1]:  # type: ignore[operator]
            raise _out_of_range(spec, value)
    return values


def _number(spec: TensorSpec, value: Any, limits: Limits) -> float:
    if type(value) is int:
        try:
            value = float(value)
        except OverflowError:
            raise _out_of_range(spec, value) from None
    elif type(value) is not float:
        raise _wrong_type(spec, value)
    if not isfinite(value):
        raise not_finite(spec.name)
    if limits is not None and not limits[0] <= value <= limits[1]:
        raise _out_of_range(spec, value)
    return value  # type: ignore[no-any-return]


def not_finite(name: str = "") -> Fault:
    """400 ``value-not-finite``: NaN, infinity, or a number too large for any float."""
    where = f"{name!r} has" if name else "the body has"
    return bad_request(
        "value-not-finite",
        f"{where} NaN, an infinity or a number too large for a float",
        "Send finite numbers; leave rows with missing values out or fill them.",
    )


def _wrong_type(spec: TensorSpec, value: Any) -> Fault:
    wanted = {float: "a number", int: "an integer", bool: "true or false", str: "a string"}
    found = {dict: "an object", list: "a list", type(None): "null", str: "a string"}
    name = found.get(type(value)) or type(value).__name__
    return bad_request(
        "value-wrong-type",
        f"{spec.name!r} has {name} where {spec.datatype} wants {wanted[KINDS[spec.datatype].json]}",
        "Send the datatype that the model's metadata names.",
    )


def _out_of_range(spec: TensorSpec, value: Any) -> Fault:
    return bad_request(
        "value-out-of-range",
        f"{spec.name!r} has {shown(value)}, outside what this model takes as {spec.datatype}",
        "Send values that fit the datatype.",
    )


def shown(value: Any) -> str:
    if isinstance(value, int) and value.bit_length() > 256:
        return "a very large integer"
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
