"""Which feature types can feed which inputs of an endpoint. Pure.

A whole number may become a wider one or a float, and a float another float, as between an endpoint
and its model. A value must reach the model as what it is: no rounding of times, no bytes as text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass

from triune.core.config import Datatype, InputTable
from triune.core.errors import Refused
from triune.delivery.ports import Pinned

_FLOATS = frozenset({"BOOL", "INT32", "INT64", "FLOAT", "DOUBLE"})
_TEXTS = frozenset({"STRING", "JSON", "UUID", "TIME_UUID", "DECIMAL"})
TAKES: Mapping[Datatype, frozenset[str]] = {
    Datatype.FP32: _FLOATS,  # a time in seconds needs more digits than it has
    Datatype.FP64: _FLOATS | {"UNIX_TIMESTAMP"},
    Datatype.INT32: frozenset({"BOOL", "INT32"}),
    Datatype.INT64: frozenset({"BOOL", "INT32", "INT64", "UNIX_TIMESTAMP"}),
    Datatype.BOOL: frozenset({"BOOL"}),
    Datatype.BYTES: _TEXTS,
}
"""The feature types that an input of each datatype takes."""

_NUMBERS = frozenset({Datatype.INT32, Datatype.INT64})
ASKED_BY: Mapping[str, frozenset[Datatype]] = {
    **dict.fromkeys(("INT32", "INT64", "UNIX_TIMESTAMP"), _NUMBERS),
    **dict.fromkeys(("STRING", "UUID", "TIME_UUID", "DECIMAL"), frozenset({Datatype.BYTES})),
    "BOOL": frozenset({Datatype.BOOL}),
}
"""The inputs that can hold a join key of each type."""

_WRITTEN = {
    "STRING": "String",
    "JSON": "Json",
    "UUID": "Uuid",
    "TIME_UUID": "TimeUuid",
    "DECIMAL": "Decimal",
    "BOOL": "Bool",
    "INT32": "Int32",
    "INT64": "Int64",
    "FLOAT": "Float32",
    "DOUBLE": "Float64",
    "UNIX_TIMESTAMP": "UnixTimestamp",
}


@dataclass(frozen=True, slots=True)
class Misfit:
    """A feature or join key that an input cannot hold, and what to do about it."""

    what: str
    mend: str


def refuse_misfits(
    endpoint: str, pinned: Pinned, entities: Mapping[str, str], inputs: Sequence[InputTable]
) -> None:
    """Hold what is looked up, and by what, against the endpoint's inputs.

    ``entities``: join key -> input. ``inputs`` has all that are named by it and by the features.

    Raises
    ------
    Refused: (``release-feature-unfit``) naming each feature, its type, the input and what to do.
    """
    by_name = {one.name: one for one in inputs}
    found = [*_features(pinned, by_name), *_keys(pinned, entities, by_name)]
    if found:
        whats, mends = (dict.fromkeys(words) for words in zip(*map(astuple, found), strict=True))
        raise Refused(
            "release-feature-unfit",
            f"what is looked up does not fit the endpoint's inputs: {'; '.join(whats)}",
            context=f'[endpoints."{endpoint}"]',
            hint=f"Give feature and input types that fit. {' '.join(mends)}",
        )


def _features(pinned: Pinned, inputs: Mapping[str, InputTable]) -> Iterator[Misfit]:
    for name, feature in pinned.features.items():
        kind, one = pinned.types[name], inputs[name]
        what = f"feature {feature} is {kind}, and cannot feed input {shown(one)}"
        fitting = [datatype.value for datatype, takes in TAKES.items() if kind in takes]
        if not fitting:
            yield Misfit(what, f"No input takes {kind}: give {name} a type that one does.")
        elif kind not in TAKES[one.datatype]:
            types = ", ".join(sorted(_WRITTEN[other] for other in TAKES[one.datatype]))
            wanted = " or ".join(fitting)
            mend = f"Declare input {name!r} as {wanted}, or feature {name} as one of {types}."
            yield Misfit(what, mend)
        elif one.width != 1:
            yield Misfit(what, f"Give input {name!r} the width 1.")


def _keys(
    pinned: Pinned, entities: Mapping[str, str], inputs: Mapping[str, InputTable]
) -> Iterator[Misfit]:
    for key, kind in pinned.keys.items():
        if key not in entities:
            what = f"join key {key} ({kind}) is asked by no input"
            yield Misfit(what, f"Name the input that holds it: entities = {{ {key} = ... }}.")
            continue
        name = entities[key]
        one = inputs[name]
        holds = ASKED_BY.get(kind, frozenset())
        if one.datatype in holds and one.width == 1:
            continue
        what = f"join key {key} is {kind}, and input {shown(one)} cannot hold it"
        if holds:
            names = " or ".join(sorted(holds))
            yield Misfit(what, f"Declare input {name!r} as {names}, of width 1.")
        else:
            yield Misfit(what, f"Give join key {key} another type: no input holds {kind}.")


def shown(one: InputTable) -> str:
    """An input as a person would write it."""
    wide = f", {one.width} wide" if one.width != 1 else ""
    return f"{one.name!r} ({one.datatype.value}{wide})"
