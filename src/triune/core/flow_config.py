"""``[flows.<name>]``: datasets, stages and features brought up to date in one go."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from triune.core.cron import Cron
from triune.core.rollout_config import StrictTable


class FlowTable(StrictTable):
    """``[flows.<name>]``: ingest, check, stages, materialise; each part only if it is asked for."""

    build: tuple[str, ...] = Field(
        default=(), strict=False, description="datasets to build and add, in this order"
    )
    check: tuple[str, ...] = Field(
        default=(), strict=False, description="datasets to check against their expectations"
    )
    stages: bool = Field(default=False, description="true: run the stages of `dvc.yaml`")
    materialize: tuple[str, ...] = Field(
        default=(), strict=False, description="feature views to bring online; `*` means all"
    )
    schedule: Cron | None = Field(
        default=None, description="when it runs by itself, as cron, e.g. `15 * * * *` (UTC)"
    )
    retries: Annotated[int, Field(ge=0, le=100)] = Field(
        default=3, description="how often each part is tried again"
    )
    retry_delay_s: Annotated[float, Field(ge=0)] = Field(
        default=10.0, description="pause before the first retry; it doubles with each"
    )
    timeout_s: Annotated[float, Field(gt=0)] = Field(
        default=3600.0, description="longest time for each part"
    )
