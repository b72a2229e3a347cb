"""``[backup]``: what is kept for how long, and where."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from triune.core.cron import Cron
from triune.core.rollout_config import StrictTable

Kept = Annotated[int, Field(ge=0, le=100_000)]


class BackupTable(StrictTable):
    """``[backup]``: the restic repository, its schedule and its retention."""

    repository: str | None = Field(
        default=None,
        description="a folder (absolute), or `s3:http://host:port/bucket/prefix`; "
        "default `.triune/backups`, in profile `server` a bucket of the object store",
    )
    schedule: Cron = Field(
        default="17 * * * *", description="when a backup is made by itself, as cron (UTC)"
    )
    drill: Cron = Field(
        default="47 3 * * *", description="when the last backup is drilled, as cron (UTC)"
    )
    hourly: Kept = Field(default=24, description="hourly backups kept")
    daily: Kept = Field(default=7, description="daily backups kept")
    weekly: Kept = Field(default=4, description="weekly backups kept")
    monthly: Kept = Field(default=12, description="monthly backups kept")
    locked_days: Annotated[int, Field(ge=0, le=36_500)] = Field(
        default=0,
        description="days for which nothing in an S3 repository can be changed or deleted (object "
        "lock); 0: none",
    )
    exclude: tuple[str, ...] = Field(
        default=(), strict=False, description="patterns of the workspace left out"
    )
