"""Schedules as cron expressions, in UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator


def _parses(value: str) -> str:
    from cronsim import CronSim, CronSimError

    try:
        CronSim(value, datetime(2026, 1, 1, tzinfo=UTC))
    except CronSimError as error:
        raise ValueError(f"is no cron expression ({error}); write e.g. `15 * * * *`") from None
    return value


Cron = Annotated[str, AfterValidator(_parses)]


def following(expression: str, after: datetime) -> datetime:
    """The first time behind ``after`` that a schedule names."""
    from cronsim import CronSim

    found: datetime = next(CronSim(expression, after))
    return found


def due(expression: str, last: datetime | None, now: datetime) -> bool:
    """Whether a schedule has named a time since it was last followed. Times that were missed
    meanwhile count once; what never ran begins with the next time."""
    return last is not None and following(expression, last) <= now
