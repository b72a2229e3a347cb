"""Reading an MLflow model folder's ``MLmodel`` file, without importing MLflow."""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from triune.core.config import Datatype
from triune.core.errors import Refused
from triune.models.serving.tensors import Layout, TensorSpec

UNNAMED = "input-0"
"""The name given to a model's only tensor when its signature has none."""

_COLUMN_TYPES = {
    "double": Datatype.FP64,
    "float": Datatype.FP32,
    "long": Datatype.INT64,
    "integer": Datatype.INT32,
    "string": Datatype.BYTES,
    "boolean": Datatype.BOOL,
}
_TENSOR_TYPES = {
    "float64": Datatype.FP64,
    "float32": Datatype.FP32,
    "int64": Datatype.INT64,
    "int32": Datatype.INT32,
    "bool": Datatype.BOOL,
    "str": Datatype.BYTES,
    "object": Datatype.BYTES,
}


@dataclass(frozen=True, slots=True)
class MlModel:
    """What the file says: flavours, and the inputs when there is a signature."""

    folder: Path
    flavors: dict[str, Any]
    inputs: tuple[TensorSpec, ...] | None
    layout: Layout

    @property
    def predict_function(self) -> str:
        """The method that MLflow's own server would call."""
        return str(self.flavors.get("python_function", {}).get("predict_fn", "predict"))


def read(folder: Path) -> MlModel:
    """The description of the MLflow model in a folder.

    Raises
    ------
    Refused: (``model-not-loadable``) no or a broken ``MLmodel``;
        (``model-signature-unsupported``) a signature of types no tensor has.
    """
    import yaml

    path = folder / "MLmodel"
    try:
        table = yaml.safe_load(path.read_text(encoding="utf-8"))
        flavors = dict(table["flavors"])
        declared = json.loads((table.get("signature") or {}).get("inputs") or "null")
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise Refused(
            "model-not-loadable",
            f"not an MLflow model: {type(error).__name__}: {error}",
            context=str(path),
            hint="Save it with mlflow.<flavour>.save_model and register it again.",
        ) from None
    inputs, layout = _signature(declared, path)
    return MlModel(folder, flavors, inputs, layout)


def _signature(declared: Any, path: Path) -> tuple[tuple[TensorSpec, ...] | None, Layout]:
    if not declared:
        return None, Layout.COLUMNS
    alone = len(declared) == 1 and declared[0].get("name") is None
    specs = tuple(_spec(item, path) for item in declared)
    return specs, Layout.TENSOR if alone else Layout.COLUMNS


def _spec(item: dict[str, Any], path: Path) -> TensorSpec:
    name = item.get("name") or UNNAMED
    if item.get("type") != "tensor":
        datatype = _COLUMN_TYPES.get(str(item.get("type")))
        if datatype is None:
            raise _unsupported(f"{name} is {item.get('type')}", path)
        return TensorSpec(name, datatype)
    tensor = item["tensor-spec"]
    datatype = _TENSOR_TYPES.get(tensor["dtype"])
    inner = tensor["shape"][1:]
    if datatype is None or len(inner) > 1 or any(side < 1 for side in inner):
        raise _unsupported(f"{name} is {tensor['dtype']} of shape {tensor['shape']}", path)
    return TensorSpec(name, datatype, prod(inner))


def _unsupported(what: str, path: Path) -> Refused:
    return Refused(
        "model-signature-unsupported",
        f"the signature cannot be served: {what}",
        context=str(path),
        hint="Use columns, or tensors of shape [-1] or [-1, width], of numbers, strings, booleans.",
    )
