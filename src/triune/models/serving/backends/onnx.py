"""ONNX Runtime: the fast path, one thread per session."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from triune.core.errors import Refused
from triune.models.serving import signature
from triune.models.serving.tensors import SINGLE_PRECISION, Layout, TensorSpec, Values

MODEL = Path("onnx/model.onnx")
SIGNATURE = Path("onnx/signature.json")

_DTYPES: dict[str, np.dtype[Any]] = {
    "tensor(float)": np.dtype(np.float32),
    "tensor(double)": np.dtype(np.float64),
    "tensor(int32)": np.dtype(np.int32),
    "tensor(int64)": np.dtype(np.int64),
    "tensor(bool)": np.dtype(np.bool_),
    "tensor(string)": np.dtype(object),
}

_Feed = Callable[[Sequence[Values], int], dict[str, Any]]


class OnnxModel:
    """A model in its ONNX form; see `Model`."""

    form = "onnx"
    largest = SINGLE_PRECISION

    def __init__(
        self, graph: bytes, declared: signature.OnnxSignature, *, threads: int = 1
    ) -> None:
        self._session = _session(graph, threads)
        self.inputs = declared.inputs
        self.outputs = declared.outputs
        self.layout = declared.layout
        self.main_output = declared.main or declared.outputs[0].name
        self._names = [spec.name for spec in declared.outputs]
        self._feed = _feed(declared, {i.name: i.type for i in self._session.get_inputs()})
        missing = set(self._names) - {output.name for output in self._session.get_outputs()}
        if missing:
            raise _mismatch(f"the graph does not give {', '.join(sorted(missing))}")
        self._one_row = OneRow.bind(self._session, declared)

    def predict(self, inputs: Sequence[Values], rows: int) -> list[Values]:
        """One run of the graph."""
        if rows == 1 and self._one_row is not None:
            return self._one_row.predict(inputs)
        answers = self._session.run(self._names, self._feed(inputs, rows))
        return [answer.ravel().tolist() for answer in answers]


class OneRow:
    """The graph bound to arrays for one row, made once: half the time of a run with new ones.

    Only for graphs of a single numeric input and numeric outputs.
    """

    def __init__(self, session: Any, taken: Any, given: Sequence[Any], columns: bool) -> None:
        self._session = session
        self._taken = taken
        self._given = given
        self._columns = columns
        self._binding = session.io_binding()
        _bind(self._binding.bind_input, session.get_inputs()[0].name, taken)

    @classmethod
    def bind(cls, session: Any, declared: signature.OnnxSignature) -> OneRow | None:
        """The binding, or None where the graph has text or several inputs."""
        inputs = session.get_inputs()
        names = [spec.name for spec in declared.outputs]
        kinds = {item.type for item in (*inputs, *session.get_outputs())}
        if len(inputs) != 1 or "tensor(string)" in kinds:
            return None
        width = sum(spec.width for spec in declared.inputs)
        taken = np.zeros((1, width), _DTYPES[inputs[0].type])
        given = [np.ascontiguousarray(a) for a in session.run(names, {inputs[0].name: taken})]
        bound = cls(session, taken, given, len(declared.inputs) > 1)
        for name, array in zip(names, given, strict=True):
            _bind(bound._binding.bind_output, name, array)
        return bound

    def predict(self, inputs: Sequence[Values]) -> list[Values]:
        """The answers for one row."""
        self._taken[0] = [column[0] for column in inputs] if self._columns else inputs[0]
        self._session.run_with_iobinding(self._binding)
        return [array.ravel().tolist() for array in self._given]


def _bind(bind: Callable[..., None], name: str, array: Any) -> None:
    bind(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)


def load(folder: Path, *, threads: int = 1) -> OnnxModel:
    """The ONNX form in a model folder; the graph's bytes are read exactly once."""
    return OnnxModel(
        (folder / MODEL).read_bytes(), signature.load(folder / SIGNATURE), threads=threads
    )


def _session(graph: bytes, threads: int) -> Any:
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when the library is loaded
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors have no common root
        raise Refused(
            "model-not-loadable",
            f"ONNX Runtime refuses the graph: {error}",
            hint="Register the model again with this version of ONNX Runtime.",
        ) from error


def _feed(declared: signature.OnnxSignature, graph: Mapping[str, str]) -> _Feed:
    """How checked values become the graph's arrays; ``graph`` is its inputs' types by name."""
    unknown = sorted(set(graph.values()) - set(_DTYPES))
    if unknown:
        raise _mismatch(f"the graph takes {unknown[0]}")
    if declared.layout is Layout.COLUMNS and len(graph) == 1 and len(declared.inputs) > 1:
        ((name, kind),) = graph.items()
        return _packed(name, _DTYPES[kind])
    if set(graph) != {spec.name for spec in declared.inputs}:
        raise _mismatch(f"the graph takes {sorted(graph)}")
    return _separate([(spec, _DTYPES[graph[spec.name]]) for spec in declared.inputs])


def _packed(name: str, dtype: np.dtype[Any]) -> _Feed:
    def feed(inputs: Sequence[Values], rows: int) -> dict[str, Any]:
        if rows == 1:
            return {name: np.array([[column[0] for column in inputs]], dtype)}
        return {name: np.ascontiguousarray(np.array(inputs, dtype).T)}

    return feed


def _separate(columns: Sequence[tuple[TensorSpec, np.dtype[Any]]]) -> _Feed:
    plan = [(spec.name, dtype, spec.width) for spec, dtype in columns]

    def feed(inputs: Sequence[Values], rows: int) -> dict[str, Any]:
        return {
            name: np.array(values, dtype).reshape(rows, width)
            for (name, dtype, width), values in zip(plan, inputs, strict=True)
        }

    return feed


def _mismatch(what: str) -> Refused:
    return Refused(
        "onnx-signature-mismatch",
        f"{what}, which is not what its signature says",
        hint="Register the model again; the ONNX form is made at registration.",
    )
