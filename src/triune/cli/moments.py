"""Moments as people write them on a command line: ``10m`` ago, in ``2h``, or an ISO time."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import typer

from triune.ledger.envelope import microseconds

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_LENGTH = re.compile(r"^(\d+(?:\.\d+)?)([smhdw])$")


def moment(text: str, *, now: datetime | None = None) -> int | None:
    """The moment in microseconds since 1970 UTC; None for an empty text.

    ``90s``, ``10m``, ``2h``, ``3d`` and ``1w`` count back from now; an ISO 8601 date or time
    without a zone is in the machine's own.
    """
    if not text:
        return None
    ago = _LENGTH.match(text)
    if ago:
        return microseconds((now or datetime.now(UTC)) - _length(ago))
    try:
        return microseconds(datetime.fromisoformat(text).astimezone(UTC))
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is neither like 10m, 2h, 3d nor an ISO time such as 2026-01-31T12:00"
        ) from None


def later(at: str, within: str, *, now: datetime | None = None) -> datetime | None:
    """A moment to come, from ``--at`` or ``--in``; None when neither is given. ``at`` keeps the
    zone that it is written with, or none."""
    if at and within:
        raise typer.BadParameter("give --at or --in, not both", param_hint="--at")
    if at:
        try:
            return datetime.fromisoformat(at)
        except ValueError:
            what = f"{at!r} is no ISO time such as 2026-12-24T08:00Z"
            raise typer.BadParameter(what, param_hint="--at") from None
    if not within:
        return None
    length = _LENGTH.match(within)
    if length is None:
        what = f"{within!r} is no length of time such as 90s, 30m, 2h, 3d, 1w"
        raise typer.BadParameter(what, param_hint="--in")
    try:
        return (now or datetime.now(UTC)) + _length(length)
    except OverflowError:
        what = f"{within!r} is beyond the calendar"
        raise typer.BadParameter(what, param_hint="--in") from None


def _length(found: re.Match[str]) -> timedelta:
    return timedelta(**{_UNITS[found[2]]: float(found[1])})
