"""Checked values to the arrays and data frames that Python models take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from triune.models.serving.tensors import KINDS, TensorSpec, Values


def matrix(specs: Sequence[TensorSpec], inputs: Sequence[Values], rows: int, dtype: Any) -> Any:
    """All inputs side by side as one array ``[rows, sum of widths]``."""
    if len(specs) == 1:
        return np.array(inputs[0], dtype).reshape(rows, specs[0].width)
    if rows == 1 and all(spec.width == 1 for spec in specs):
        return np.array([[values[0] for values in inputs]], dtype)
    return np.hstack(
        [
            np.array(values, dtype).reshape(rows, spec.width)
            for spec, values in zip(specs, inputs, strict=True)
        ]
    )


def column(spec: TensorSpec, values: Values, rows: int) -> Any:
    """One input as an array of its own dtype; a wide one as a list of arrays, one per row."""
    array = np.array(values, np.dtype(KINDS[spec.datatype].numpy))
    return array if spec.width == 1 else list(array.reshape(rows, spec.width))


class Frames:
    """Builds data frames of one signature; quick when all columns share a datatype."""

    def __init__(self, specs: Sequence[TensorSpec]) -> None:
        import pandas

        self._pandas = pandas
        self._specs = tuple(specs)
        self._columns = pandas.Index([spec.name for spec in specs])
        kinds = {spec.datatype for spec in specs}
        plain = len(kinds) == 1 and all(spec.width == 1 for spec in specs)
        self._dtype = np.dtype(KINDS[next(iter(kinds))].numpy) if plain else None

    def build(self, inputs: Sequence[Values], rows: int) -> Any:
        """The frame of ``rows`` rows."""
        if self._dtype is not None and self._dtype != np.dtype(object):
            data = matrix(self._specs, inputs, rows, self._dtype)
            return self._pandas.DataFrame(data, columns=self._columns, copy=False)
        return self._pandas.DataFrame(
            {
                spec.name: column(spec, values, rows)
                for spec, values in zip(self._specs, inputs, strict=True)
            }
        )
