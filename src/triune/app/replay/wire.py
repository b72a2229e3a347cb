"""Requests and answers of the Open Inference Protocol, as a caller sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

SCORE_NAMES = ("score", "probabilities", "prediction", "predict")


class Output(msgspec.Struct):
    """One named tensor of an answer; its values are flat."""

    name: str
    data: list[Any]


class Answer(msgspec.Struct):
    """The part of an answer that is read here."""

    outputs: list[Output] = []


_decoder = msgspec.json.Decoder(Answer)
_encoder = msgspec.json.Encoder()


def encode(inputs: Mapping[str, Sequence[Any]], datatypes: Mapping[str, str]) -> bytes:
    """The body of an inference request; columns not in ``datatypes`` are typed by value."""
    return _encoder.encode(
        {
            "inputs": [
                {
                    "name": name,
                    "shape": [len(values)],
                    "datatype": datatypes.get(name) or _datatype(values),
                    "data": values,
                }
                for name, values in inputs.items()
            ]
        }
    )


def score(body: bytes) -> float | None:
    """The one number an answer to one row comes down to; None when it holds none.

    It is the output called ``score``, else the last of the probabilities, else the
    prediction itself.
    """
    try:
        outputs = {output.name: output.data for output in _decoder.decode(body).outputs}
    except msgspec.DecodeError:
        return None
    for name in SCORE_NAMES:
        values = outputs.get(name)
        if values and isinstance(values[-1], int | float):
            return float(values[-1])
    return None


def _datatype(values: Sequence[Any]) -> str:
    if any(isinstance(value, str) for value in values):
        return "BYTES"
    if all(isinstance(value, bool) for value in values):
        return "BOOL"
    return "INT64" if all(isinstance(value, int) for value in values) else "FP64"
