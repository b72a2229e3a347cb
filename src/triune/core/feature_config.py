"""``[feature_store]`` and ``[endpoints.<name>.online]``: features defined, and read in serving."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from triune.core.rollout_config import StrictTable

Module = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$")]


class Missing(StrEnum):
    """What an endpoint does for an entity without a value online."""

    NULL = "null"
    REFUSE = "refuse"


class FeatureStoreTable(StrictTable):
    """``[feature_store]``: where the workspace's Feast definitions are."""

    definitions: tuple[Module, ...] = Field(
        strict=False,
        min_length=1,
        description="modules of the workspace's code that define Feast entities and views",
    )


class OnlineTable(StrictTable):
    """``[endpoints.<name>.online]``: inputs that the model server looks up itself."""

    entities: dict[str, str] = Field(
        description="join key of the feature store -> the input that callers send it in"
    )
    features: tuple[str, ...] = Field(
        strict=False,
        min_length=1,
        description="`view` (all its features) or `view:feature`; each fills the input of its name "
        "where callers do not send it",
    )
    missing: Missing = Field(
        default=Missing.NULL,
        strict=False,
        description="an absent value: `null` (passed on as missing) or `refuse` (an error)",
    )
    timeout_ms: Annotated[float, Field(gt=0)] = Field(
        default=50.0, description="longest wait for the online store"
    )
