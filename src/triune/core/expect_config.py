"""``[[datasets.<name>.expect]]``: what must hold of a dataset's tables before training."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field

from triune.core.rollout_config import StrictTable


def _compiles(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"is no regular expression: {error}") from None
    return value


class ColumnType(StrEnum):
    """What a column holds, whatever its width."""

    INTEGER = "integer"
    FLOAT = "float"
    NUMBER = "number"
    STRING = "string"
    BOOLEAN = "boolean"
    TIMESTAMP = "timestamp"


class ColumnTable(StrictTable):
    """``[datasets.<name>.expect.columns.<column>]``: what must hold of one column."""

    type: ColumnType | None = Field(
        default=None,
        strict=False,
        description="`integer`, `float`, `number` (either), `string`, `boolean`, `timestamp`",
    )
    required: bool = Field(default=True, description="false: the column may be absent")
    nullable: bool = Field(default=True, description="false: no value may be missing")
    max_null_share: Annotated[float, Field(ge=0, le=1)] | None = Field(
        default=None, description="largest share of missing values"
    )
    unique: bool = Field(default=False, description="true: no value occurs twice")
    min: float | None = Field(default=None, description="smallest value")
    max: float | None = Field(default=None, description="largest value")
    one_of: tuple[str | int, ...] = Field(
        default=(), strict=False, description="the only values there may be"
    )
    pattern: Annotated[str, AfterValidator(_compiles)] | None = Field(
        default=None, description="regular expression that each text matches in full"
    )


class ExpectTable(StrictTable):
    """``[[datasets.<name>.expect]]``: what must hold of the files that match a pattern."""

    files: str = Field(
        default="**/*", description="glob, relative to the dataset; tables among its matches"
    )
    min_files: Annotated[int, Field(ge=0)] = Field(
        default=1, description="fewest files that must match"
    )
    min_rows: Annotated[int, Field(ge=0)] = Field(default=0, description="fewest rows in each file")
    max_rows: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="most rows in each file"
    )
    unique: tuple[str, ...] = Field(
        default=(), strict=False, description="columns that together identify a row"
    )
    closed: bool = Field(default=False, description="true: no column but those listed")
    columns: dict[str, ColumnTable] = Field(
        default_factory=dict, description="what must hold of each column"
    )
