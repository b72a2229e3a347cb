"""Bodies of MLflow's ``/invocations``: ``dataframe_split``, ``dataframe_records``, ``inputs``,
``instances`` and CSV, checked against the same contract as the protocol's own."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from typing import Any

from triune.models.serving.faults import Fault, bad_request
from triune.models.serving.protocol.contract import Contract, Request
from triune.models.serving.protocol.text import read_json
from triune.models.serving.protocol.values import shown
from triune.models.serving.tensors import KINDS, Layout, TensorSpec, Values

_FORMATS = ("dataframe_split", "dataframe_records", "inputs", "instances")


class InvocationDecoder:
    """Reads ``/invocations`` bodies for one contract; raises `Fault` with a reference."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._readers: dict[str, Callable[[Any], Request]] = {
            "dataframe_split": self._split,
            "dataframe_records": self._records,
            "inputs": self._inputs,
            "instances": self._instances,
        }

    def decode(self, body: bytes, content_type: str | None) -> Request:
        """The request in a body of this content type (JSON when none is given)."""
        kind = "application/json" if content_type is None else content_type
        kind = kind.partition(";")[0].strip().lower()
        if kind == "text/csv":
            return self._csv(body)
        if kind != "application/json":
            raise Fault(
                415,
                "content-type-unsupported",
                f"{kind[:80]} is neither application/json nor text/csv",
                hint="Send the header `content-type: application/json`.",
            )
        message = read_json(body)
        if not isinstance(message, dict):
            raise _invalid("the body is not an object")
        given = [name for name in _FORMATS if name in message]
        if len(given) != 1:
            raise _invalid(f"the body has {len(given)} of {', '.join(_FORMATS)}")
        unknown = sorted(set(message) - {given[0], "params"})
        if unknown:
            raise _invalid(f"the body has the unknown key {shown(unknown[0])}")
        return self._readers[given[0]](message[given[0]])

    def _split(self, table: Any) -> Request:
        if not isinstance(table, dict) or not isinstance(table.get("data"), list):
            raise _invalid("`dataframe_split` is not an object with a list `data`")
        unknown = sorted(set(table) - {"columns", "index", "data"})
        if unknown:
            raise _invalid(f"`dataframe_split` has the unknown key {shown(unknown[0])}")
        if self._contract.layout is Layout.TENSOR:
            return self._tensor(table["data"])
        columns = table.get("columns")
        if not isinstance(columns, list) or not all(isinstance(name, str) for name in columns):
            raise _invalid("`columns` is not a list of strings")
        return self._table(columns, table["data"])

    def _records(self, records: Any) -> Request:
        if not isinstance(records, list) or not all(isinstance(row, dict) for row in records):
            raise _invalid("`dataframe_records` is not a list of objects")
        self._contract.check_rows(len(records))
        for row in records:
            for name in row:
                self._contract.place(name)
            self._contract.require_all(row)
            if row.keys() != records[0].keys():
                raise _invalid("the records have not all the same names")
        return self._columns({name: [row[name] for row in records] for name in records[0]})

    def _inputs(self, inputs: Any) -> Request:
        if isinstance(inputs, dict):
            for name in inputs:
                self._contract.place(name)
            if not all(isinstance(values, list) for values in inputs.values()):
                raise _invalid("`inputs` has something that is not a list")
            return self._columns(inputs)
        return self._tensor(inputs)

    def _instances(self, instances: Any) -> Request:
        if isinstance(instances, list) and instances and isinstance(instances[0], dict):
            return self._records(instances)
        return self._tensor(instances)

    def _table(self, columns: Sequence[str], rows: Sequence[Any]) -> Request:
        self._contract.check_rows(len(rows))
        for name in columns:
            self._contract.place(name)
        if len(set(columns)) != len(columns):
            twice = next(name for name in columns if list(columns).count(name) > 1)
            raise bad_request("input-duplicate", f"{twice!r} is given twice", "Send it once.")
        if any(not isinstance(row, list) or len(row) != len(columns) for row in rows):
            raise bad_request(
                "data-length-mismatch",
                f"a row does not have {len(columns)} values",
                "Give every row one value per column.",
            )
        return self._columns(
            {name: [row[place] for row in rows] for place, name in enumerate(columns)}
        )

    def _columns(self, columns: dict[str, list[Any]]) -> Request:
        """Named columns, each value a scalar or a list of the input's width."""
        self._contract.require_all(columns)
        rows = len(next(iter(columns.values()), []))
        self._contract.check_rows(rows)
        values: list[Values] = []
        for place, spec in enumerate(self._contract.inputs):
            column = columns.get(spec.name)
            if column is None:
                values.append(())
                continue
            if len(column) != rows:
                raise bad_request(
                    "shape-mismatch",
                    f"{spec.name!r} has {len(column)} rows, the inputs before it {rows}",
                    "Give every input the same number of rows.",
                )
            values.append(self._contract.check(place, _flat(spec, column)))
        return Request(values, rows)

    def _tensor(self, data: Any) -> Request:
        """Rows of a model that takes a single tensor."""
        if len(self._contract.inputs) != 1:
            raise _invalid("this model takes named columns")
        if not isinstance(data, list):
            raise _invalid("the tensor is not a list")
        self._contract.check_rows(len(data))
        flat = _flat(self._contract.inputs[0], data)
        return Request([self._contract.check(0, flat)], len(data))

    def _csv(self, body: bytes) -> Request:
        try:
            rows = list(csv.reader(io.StringIO(body.decode(), newline=""), strict=True))
        except UnicodeDecodeError:
            raise bad_request("body-not-utf8", "the body is not UTF-8", "Send UTF-8.") from None
        except csv.Error as error:
            raise bad_request("body-not-csv", str(error), "Send RFC 4180 CSV.") from None
        rows = [row for row in rows if row]
        if not rows:
            raise bad_request("batch-empty", "there are no rows", "Send a header and a row.")
        if self._contract.layout is Layout.TENSOR:
            spec = self._contract.inputs[0]
            return self._tensor([[_parsed(spec, cell) for cell in row] for row in rows[1:]])
        specs = [self._contract.inputs[self._contract.place(name)] for name in rows[0]]
        data = [[_parsed(s, c) for s, c in zip(specs, row, strict=False)] for row in rows[1:]]
        return self._table(rows[0], data)


def _flat(spec: TensorSpec, rows: Sequence[Any]) -> list[Any]:
    if spec.width == 1 and not any(isinstance(row, list) for row in rows):
        return list(rows)
    if any(not isinstance(row, list) or len(row) != spec.width for row in rows):
        raise bad_request(
            "shape-mismatch",
            f"{spec.name!r} has a row that is not {spec.width} wide",
            f"The endpoint takes [rows, {spec.width}].",
        )
    return [value for row in rows for value in row]


_BOOLEANS = {"true": True, "false": False, "1": True, "0": False}


def _parsed(spec: TensorSpec, cell: str) -> Any:
    """A CSV cell as its datatype; left as it is when it does not read as one."""
    kind = KINDS[spec.datatype].json
    try:
        if kind is bool:
            return _BOOLEANS.get(cell.strip().lower(), cell)
        return kind(cell)
    except ValueError:
        return cell


def _invalid(message: str) -> Fault:
    return bad_request(
        "request-invalid",
        message,
        f"Send one of {', '.join(_FORMATS)} as MLflow's scoring server takes them.",
    )
