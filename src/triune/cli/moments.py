"""Moments as people write them on a command line: ``10m`` ago, or an ISO time."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import typer

from triune.ledger.envelope import microseconds

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGO = re.compile(r"^(\d+(?:\.\d+)?)([smhdw])$")


def moment(text: str, *, now: datetime | None = None) -> int | None:
    """The moment in microseconds since 1970 UTC; None for an empty text.

    ``90s``, ``10m``, ``2h``, ``3d`` and ``1w`` count back from now; an ISO 8601 date or time
    without a zone is in the machine's own.
    """
    if not text:
        return None
    ago = _AGO.match(text)
    if ago:
        back = timedelta(**{_UNITS[ago[2]]: float(ago[1])})
        return microseconds((now or datetime.now(UTC)) - back)
    try:
        return microseconds(datetime.fromisoformat(text).astimezone(UTC))
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is neither like 10m, 2h, 3d nor an ISO time such as 2026-01-31T12:00"
        ) from None
