"""What may be logged: names and values are checked before anything is written."""

from __future__ import annotations

import math
import re
from typing import Any

from triune.core.errors import Refused
from triune.models.tracking.model import Value

_NAME = re.compile(r"[\w.\-/: ]{1,250}\Z")


def number(name: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise Refused(
            "metric-invalid",
            f"metric {name!r} is not a number: {value!r}",
            hint="Log numbers; keep anything else with run.tag or run.artifact.",
        ) from error
    return number


def usable(name: str) -> str:
    if _NAME.match(name):
        return name
    raise Refused(
        "metric-invalid",
        f"{name!r} cannot name a metric, a parameter or a tag",
        hint="Use up to 250 letters, digits, spaces and the signs . _ - / :",
    )


def setting(value: Any) -> Value:
    if isinstance(value, str | bool | int) or type(value) is float:
        return value
    if hasattr(value, "item") and getattr(value, "shape", None) == ():  # a NumPy scalar
        return setting(value.item())
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    return str(value)
