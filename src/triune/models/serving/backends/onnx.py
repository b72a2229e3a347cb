"""ONNX Runtime: the fast path, one thread per session."""

from __future__ import annotations

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

    def predict(self, inputs: Sequence[Values], rows: int) -> list[Values]:
        """One run of the graph."""
        answers = self._session.run(self._names, self._feed(inputs, rows))
        return [answer.ravel().tolist() for answer in answers]


def load(folder: Path, *, threads: int = 1) -> OnnxModel:
    """The ONNX form in a model folder; the graph's bytes are read exactly once."""
    return OnnxModel(
        (folder / MODEL).read_bytes(), signature.load(folder / SIGNATURE), threads=threads
    )


def _session(graph: bytes, threads: int) -> Any:
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
