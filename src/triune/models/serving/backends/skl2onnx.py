"""skl2onnx: a scikit-learn model to an ONNX graph that speaks our names and datatypes."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from typing import Any

from triune.core.config import Datatype
from triune.models.serving.backends.estimators import last_step
from triune.models.serving.backends.sklearn import SklearnModel
from triune.models.serving.signature import NoForm, OnnxSignature
from triune.models.serving.tensors import TensorSpec


def convert(model: SklearnModel, *, integers_as_floats: bool) -> tuple[bytes, OnnxSignature]:
    """Graph and signature; raises `NoForm` when skl2onnx cannot, saying why.

    With ``integers_as_floats`` whole numbers enter the graph as floats, which scalers want;
    without, as integers, which one-hot encoders want.
    """
    if model.by_name:
        types = [(spec.name, _type(spec, integers_as_floats)) for spec in model.inputs]
    else:
        from skl2onnx.common.data_types import FloatTensorType

        width = sum(spec.width for spec in model.inputs)
        types = [("packed", FloatTensorType([None, width]))]
    graph = _converted(model, types)
    _set_outputs(graph.graph, model.outputs)
    inputs = model.inputs
    if model.by_name:
        inputs = _name_inputs(graph.graph, model.inputs)
    elif len(model.inputs) == 1:
        _rename(graph.graph, graph.graph.input[0].name, model.inputs[0].name)
        graph.graph.input[0].name = model.inputs[0].name
    return graph.SerializeToString(), OnnxSignature(
        inputs, model.outputs, model.layout, model.main_output
    )


def _converted(model: SklearnModel, types: Sequence[tuple[str, Any]]) -> Any:
    import skl2onnx

    estimator = model.estimator
    last = last_step(estimator)
    options = {id(last): {"zipmap": False}} if hasattr(last, "predict_proba") else None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return skl2onnx.convert_sklearn(estimator, initial_types=types, options=options)
    except Exception as error:  # the converters raise anything, KeyError and TypeError included
        reason = " ".join(str(error).split())[:300]
        raise NoForm(f"skl2onnx: {type(error).__name__}: {reason}") from None


def _type(spec: TensorSpec, integers_as_floats: bool) -> Any:
    from skl2onnx.common import data_types

    shape = [None, spec.width]
    if spec.datatype is Datatype.BYTES:
        return data_types.StringTensorType(shape)
    if spec.datatype in (Datatype.INT32, Datatype.INT64) and not integers_as_floats:
        return data_types.Int64TensorType(shape)
    return data_types.FloatTensorType(shape)


_LABELS = {Datatype.INT64: "INT64", Datatype.BYTES: "STRING"}


def _set_outputs(graph: Any, outputs: Sequence[TensorSpec]) -> None:
    """Give the graph our outputs: the label as it is, scores as FP64."""
    from onnx import TensorProto, helper

    given = [output.name for output in graph.output]
    names = [spec.name for spec in outputs]
    if len(given) != (2 if "label" in names else 1):
        raise NoForm(f"the graph gives {', '.join(given)}")
    raw = [f"{name}__raw" for name in given]
    for old, new in zip(given, raw, strict=True):
        _rename(graph, old, new)
    del graph.output[:]
    second = helper.make_tensor("second__class", TensorProto.INT64, [1], [1])
    for spec in outputs:
        kind = TensorProto.DOUBLE
        if spec.name == "label":
            if spec.datatype not in _LABELS:
                raise NoForm(f"its labels are {spec.datatype}")
            kind = getattr(TensorProto, _LABELS[spec.datatype])
            graph.node.append(helper.make_node("Identity", raw[:1], ["label"]))
        elif spec.name == "score":
            graph.initializer.append(second)
            pair = [raw[1], second.name]
            graph.node.append(helper.make_node("Gather", pair, ["score__raw"], axis=1))
            graph.node.append(helper.make_node("Cast", ["score__raw"], ["score"], to=kind))
        else:
            graph.node.append(helper.make_node("Cast", raw[-1:], [spec.name], to=kind))
        graph.output.append(helper.make_tensor_value_info(spec.name, kind, None))


def _name_inputs(graph: Any, specs: Sequence[TensorSpec]) -> tuple[TensorSpec, ...]:
    """Give the graph's inputs the columns' own names, which the converter made plain; the
    columns that the graph takes, in its order."""
    by_plain: dict[str, TensorSpec] = {}
    for spec in specs:
        plain = re.sub(r"[^A-Za-z0-9_]", "_", spec.name)
        if plain in by_plain:
            raise NoForm(f"the columns {spec.name!r} and {by_plain[plain].name!r} look alike")
        by_plain[plain] = spec
    taken = []
    for value in graph.input:
        spec_ = by_plain.get(value.name)
        if spec_ is None:
            raise NoForm(f"the graph takes {value.name!r}")
        if value.name != spec_.name:
            _rename(graph, value.name, spec_.name)
            value.name = spec_.name
        taken.append(spec_)
    return tuple(taken)


def _rename(graph: Any, old: str, new: str) -> None:
    """Rename a tensor wherever a node makes or uses it."""
    for node in graph.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                if name == old:
                    names[place] = new
