"""Predictions as bodies of the two protocols."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any

import msgspec

from triune.core.config import Datatype
from triune.models.serving.tensors import TensorSpec, Values

_encode = msgspec.json.Encoder().encode
_FLOATS = (Datatype.FP32, Datatype.FP64)


def floats(outputs: Sequence[TensorSpec]) -> tuple[int, ...]:
    """The places of the outputs that may hold NaN or an infinity."""
    return tuple(place for place, spec in enumerate(outputs) if spec.datatype in _FLOATS)


def finite(values: Sequence[Values], places: Sequence[int]) -> bool:
    """Whether every float a model gave at these places can be written as JSON."""
    return all(all(map(isfinite, values[place])) for place in places)


class OipAnswers:
    """Encodes ``infer`` answers of one model."""

    def __init__(self, name: str, version: str) -> None:
        self._name = name
        self._version = version

    def encode(
        self,
        outputs: Sequence[TensorSpec],
        values: Sequence[Values],
        rows: int,
        *,
        identifier: str,
        wanted: tuple[str, ...] = (),
        degraded: bool = False,
    ) -> bytes:
        """The body: the outputs asked for (all when none is), in the model's order."""
        tensors = []
        for spec, data in zip(outputs, values, strict=True):
            if wanted and spec.name not in wanted:
                continue
            width = spec.width or len(data) // rows
            shape = [rows] if width == 1 else [rows, width]
            tensors.append(
                {"name": spec.name, "datatype": spec.datatype, "shape": shape, "data": data}
            )
        body: dict[str, Any] = {
            "model_name": self._name,
            "model_version": self._version,
            "id": identifier,
            "outputs": tensors,
        }
        if degraded:
            body["parameters"] = {"degraded": True}
        return _encode(body)


def encode_invocation(
    main: str, outputs: Sequence[TensorSpec], values: Sequence[Values], rows: int, degraded: bool
) -> bytes:
    """MLflow's ``{"predictions": [...]}`` with the model's main output."""
    place = next(place for place, spec in enumerate(outputs) if spec.name == main)
    data: Any = values[place]
    width = outputs[place].width or len(data) // rows
    if width > 1:
        data = [data[start : start + width] for start in range(0, len(data), width)]
    body: dict[str, Any] = {"predictions": data}
    if degraded:
        body["parameters"] = {"degraded": True}
    return _encode(body)
