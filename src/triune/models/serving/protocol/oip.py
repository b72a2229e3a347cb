"""``infer`` bodies of the Open Inference Protocol v2.

A well-formed body is decoded in one pass by a decoder made for the endpoint's contract.
Anything else goes through `_Slow`, which either reads it all the same (nested data) or
says exactly what is wrong. Both accept only what the contract allows, and agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Union

import msgspec

from triune.models.serving.faults import bad_request
from triune.models.serving.protocol.contract import Contract, Request
from triune.models.serving.protocol.text import read_json
from triune.models.serving.protocol.values import shown
from triune.models.serving.tensors import KINDS, TensorSpec, Values

_TOO_ODD = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class OipDecoder:
    """Reads ``infer`` bodies for one contract; raises `Fault` (400) with a reference."""

    def __init__(self, contract: Contract, outputs: Sequence[str]) -> None:
        self._contract = contract
        self._outputs = frozenset(outputs)
        structs = [_struct(spec, len(contract.inputs) == 1) for spec in contract.inputs]
        self._slots = {
            struct: (place, spec.width, contract.limits[place])
            for place, (struct, spec) in enumerate(zip(structs, contract.inputs, strict=True))
        }
        message = msgspec.defstruct(
            "Message",
            [
                ("inputs", list[Union[tuple(structs)]]),  # type: ignore[misc]  # noqa: UP007
                ("id", str | None, None),
                ("parameters", dict[str, Any] | None, None),
                ("outputs", list[_RequestedOutput] | None, None),
            ],
            forbid_unknown_fields=True,
            gc=False,
        )
        self._decoder = msgspec.json.Decoder(message)

    def decode(self, body: bytes) -> Request:
        """The request in a body."""
        try:
            message = self._decoder.decode(body)
        except _TOO_ODD:
            return _Slow(self._contract, self._outputs).decode(body)
        request = self._fast(message)
        return request or _Slow(self._contract, self._outputs).decode(body)

    def _fast(self, message: Any) -> Request | None:  # noqa: PLR0911
        """The request when every shape and value is as plain as it can be, else None."""
        inputs = message.inputs
        values: list[Values] = [()] * len(self._slots)
        absent = len(values) - len(inputs)
        if absent and not 0 < absent <= len(self._contract.optional):
            return None
        rows = 0
        for item in inputs:
            place, width, limits = self._slots[item.__class__]
            shape, data = item.shape, item.data
            if values[place] or not data or not shape:
                return None
            rows = rows or shape[0]
            if shape[0] != rows or len(data) != rows * width:
                return None
            if len(shape) == 1:
                if width != 1:
                    return None
            elif len(shape) != 2 or shape[1] != width:
                return None
            if limits is not None and not (limits[0] <= min(data) and max(data) <= limits[1]):
                return None
            values[place] = data
        if absent and not self._may_lack(values):
            return None
        if rows > self._contract.max_rows:
            return None
        outputs: tuple[str, ...] = ()
        if message.outputs is not None:
            outputs = tuple(output.name for output in message.outputs)
            if not self._outputs.issuperset(outputs):
                return None
        return Request(values, rows, message.id, outputs)

    def _may_lack(self, values: Sequence[Values]) -> bool:
        optional = self._contract.optional
        return all(len(one) or place in optional for place, one in enumerate(values))


class _RequestedOutput(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    parameters: dict[str, Any] | None = None


def _struct(spec: TensorSpec, alone: bool) -> type[msgspec.Struct]:
    """The JSON form of one input; told apart by its name, which is the union's tag."""
    fields: list[Any] = [
        ("shape", list[int]),
        ("datatype", Literal[str(spec.datatype)]),
        ("data", list[KINDS[spec.datatype].json]),  # type: ignore[misc]
        ("parameters", dict[str, Any] | None, None),
    ]
    if alone:  # a union of one would also accept an input without a name
        fields.insert(0, ("name", Literal[spec.name]))
        return msgspec.defstruct("Input", fields, forbid_unknown_fields=True, gc=False)
    return msgspec.defstruct(
        "Input", fields, tag_field="name", tag=spec.name, forbid_unknown_fields=True, gc=False
    )


class _Slow:
    """The same, step by step, naming the first thing that is wrong."""

    def __init__(self, contract: Contract, outputs: frozenset[str]) -> None:
        self._contract = contract
        self._outputs = outputs

    def decode(self, body: bytes) -> Request:
        message = _object(
            read_json(body), "the body", {"inputs", "id", "parameters", "outputs"}, {"inputs"}
        )
        identifier = message.get("id")
        if identifier is not None and not isinstance(identifier, str):
            raise _invalid("`id` is not a string")
        _parameters(message)
        outputs = self._requested(message.get("outputs"))
        inputs = message["inputs"]
        if not isinstance(inputs, list):
            raise _invalid("`inputs` is not a list")
        found: dict[str, Values] = {}
        rows = 0
        for item in inputs:
            name, count, values = self._input(item)
            if name in found:
                raise bad_request("input-duplicate", f"{name!r} is given twice", "Send it once.")
            if found and count != rows:
                raise bad_request(
                    "shape-mismatch",
                    f"{name!r} has {count} rows, the inputs before it {rows}",
                    "Give every input the same number of rows.",
                )
            rows, found[name] = count, values
        self._contract.require_all(found)
        ordered = [found.get(spec.name, ()) for spec in self._contract.inputs]
        return Request(ordered, rows, identifier, outputs)

    def _input(self, item: Any) -> tuple[str, int, Values]:
        needed = {"name", "shape", "datatype", "data"}
        item = _object(item, "an input", needed | {"parameters"}, {"name"})
        name = item["name"]
        if not isinstance(name, str):
            raise _invalid("an input's `name` is not a string")
        place = self._contract.place(name)
        _object(item, f"the input {name!r}", needed | {"parameters"}, needed)
        _parameters(item)
        spec = self._contract.inputs[place]
        if item["datatype"] != str(spec.datatype):
            raise bad_request(
                "datatype-mismatch",
                f"{name!r} is {shown(item['datatype'])}, the endpoint takes {spec.datatype}",
                f"Send {spec.datatype}.",
            )
        rows = self._rows(spec, item["shape"])
        flat = _flat(spec, item["data"], rows)
        return name, rows, self._contract.check(place, flat)

    def _rows(self, spec: TensorSpec, shape: Any) -> int:
        plain = isinstance(shape, list) and all(type(side) is int for side in shape)
        fits = plain and (
            (len(shape) == 1 and spec.width == 1) or (len(shape) == 2 and shape[1] == spec.width)
        )
        if not fits:
            wanted = f"[rows, {spec.width}]" + (" or [rows]" if spec.width == 1 else "")
            raise bad_request(
                "shape-mismatch",
                f"{spec.name!r} has the shape {shown(shape)}",
                f"The endpoint takes {wanted}.",
            )
        self._contract.check_rows(shape[0])
        return int(shape[0])

    def _requested(self, outputs: Any) -> tuple[str, ...]:
        if outputs is None:
            return ()
        if not isinstance(outputs, list):
            raise _invalid("`outputs` is not a list")
        names = []
        for output in outputs:
            item = _object(output, "an output", {"name", "parameters"}, {"name"})
            _parameters(item)
            if not isinstance(item["name"], str) or item["name"] not in self._outputs:
                raise bad_request(
                    "output-unknown",
                    f"{shown(item['name'])} is not an output of this model",
                    f"Known: {', '.join(sorted(self._outputs))}.",
                )
            names.append(item["name"])
        return tuple(names)


def _flat(spec: TensorSpec, data: Any, rows: int) -> list[Any]:
    """The elements of flat data, or of data nested row by row."""
    if not isinstance(data, list):
        raise _invalid(f"the `data` of {spec.name!r} is not a list")
    nested = bool(data) and all(isinstance(row, list) for row in data)
    if nested and (len(data) != rows or any(len(row) != spec.width for row in data)):
        raise _length(spec, rows, "is nested differently")
    flat = [value for row in data for value in row] if nested else data
    if len(flat) != rows * spec.width:
        raise _length(spec, rows, f"has {len(flat)} values")
    return flat


def _length(spec: TensorSpec, rows: int, what: str) -> Exception:
    return bad_request(
        "data-length-mismatch",
        f"the data of {spec.name!r} {what}; its shape says {rows} x {spec.width}",
        "Send as many values as the shape says.",
    )


def _invalid(message: str) -> Exception:
    return bad_request(
        "request-invalid", message, "See the Open Inference Protocol v2, inference request."
    )


def _parameters(item: dict[str, Any]) -> None:
    if not isinstance(item.get("parameters"), dict | None):
        raise _invalid("`parameters` is not an object")


def _object(value: Any, what: str, known: set[str], needed: set[str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _invalid(f"{what} is not an object")
    unknown = sorted(set(value) - known)
    if unknown:
        raise _invalid(f"{what} has the unknown key {shown(unknown[0])}")
    for key in sorted(needed - set(value)):
        raise _invalid(f"{what} has no `{key}`")
    return value
