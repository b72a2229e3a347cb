"""Named tensors: what a model takes and gives, and what each datatype allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from triune.core.config import Datatype

Values = Sequence[Any]
"""The elements of one tensor, flat and row by row, as plain Python values."""


class Layout(StrEnum):
    """How a model wants its inputs."""

    COLUMNS = "columns"
    """One input per column, each ``[rows]`` or ``[rows, width]``."""
    TENSOR = "tensor"
    """One input, ``[rows, width]``."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One named tensor of shape ``[rows, width]`` (``[rows]`` when the width is 1)."""

    name: str
    datatype: Datatype
    width: int = 1

    def shape(self, rows: int) -> list[int]:
        """The shape for this many rows."""
        return [rows] if self.width == 1 else [rows, self.width]


SINGLE_PRECISION = 1e30
"""`Model.largest` of models that compute in single precision: far below its limit of 3e38,
so that sums of products stay finite too."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What a datatype means in JSON and in numpy."""

    json: type
    numpy: str
    low: float | None = None
    high: float | None = None


KINDS: dict[Datatype, Kind] = {
    Datatype.FP32: Kind(float, "float32", -3.4028234663852886e38, 3.4028234663852886e38),
    Datatype.FP64: Kind(float, "float64", -1.7976931348623157e308, 1.7976931348623157e308),
    Datatype.INT32: Kind(int, "int32", -(2**31), 2**31 - 1),
    Datatype.INT64: Kind(int, "int64", -(2**63), 2**63 - 1),
    Datatype.BOOL: Kind(bool, "bool"),
    Datatype.BYTES: Kind(str, "object"),
}
