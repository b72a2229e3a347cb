"""scikit-learn models out of an MLflow folder, called directly: neither MLflow nor pandas is
imported unless the model needs column names."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from triune.core.config import Datatype
from triune.core.errors import Refused
from triune.core.files import inside
from triune.models.serving.backends import mlmodel
from triune.models.serving.backends.estimators import answers, forget_names
from triune.models.serving.backends.frames import Frames, matrix
from triune.models.serving.tensors import KINDS, SINGLE_PRECISION, Layout, TensorSpec, Values


class NotSklearn(Exception):
    """The folder holds another flavour; its message says which."""


class SklearnModel:
    """A scikit-learn estimator or pipeline; see `Model`."""

    form = "sklearn"
    largest = SINGLE_PRECISION

    def __init__(
        self,
        estimator: Any,
        inputs: Sequence[TensorSpec],
        layout: Layout,
        *,
        function: str = "predict",
    ) -> None:
        self.estimator = estimator
        self.inputs = tuple(inputs)
        self.layout = layout
        self.by_name = not _by_position(estimator, self.inputs, layout)
        self._arrange = Frames(self.inputs).build if self.by_name else _matrices(self.inputs)
        self.outputs, self.main_output, self._answer = answers(estimator, function)

    def predict(self, inputs: Sequence[Values], rows: int) -> list[Values]:
        """One call of the estimator (two when labels do not follow from probabilities)."""
        return self._answer(self._arrange(inputs, rows))


def load(folder: Path) -> SklearnModel:
    """The estimator of an MLflow folder.

    Raises
    ------
    NotSklearn: another flavour, or a file format that only MLflow's loader knows.
    Refused: (``model-not-loadable``) the file cannot be read back;
        (``model-without-signature``) nothing says what it takes.
    """
    described = mlmodel.read(folder)
    flavor = described.flavors.get("sklearn")
    if flavor is None:
        raise NotSklearn(f"its flavours are {', '.join(sorted(described.flavors))}")
    if flavor.get("serialization_format") not in _READERS:
        raise NotSklearn(f"its format is {flavor.get('serialization_format')}")
    if flavor.get("code"):
        sys.path.insert(0, str(inside(folder, flavor["code"])))
    try:
        estimator = _READERS[flavor["serialization_format"]](
            inside(folder, flavor["pickled_model"]), flavor.get("skops_trusted_types")
        )
    except Exception as error:  # unpickling may raise anything
        raise Refused(
            "model-not-loadable",
            f"its own library cannot load it: {type(error).__name__}: {error}",
            context=str(folder),
            hint="Install the packages it was trained with, or train it again.",
        ) from error
    inputs = described.inputs
    layout = described.layout
    if inputs is None:
        inputs, layout = _guess(estimator, folder)
    return SklearnModel(estimator, inputs, layout, function=described.predict_function)


def _skops(path: Path, trusted: Any) -> Any:
    import skops.io

    return skops.io.load(path, trusted=trusted)


def _pickle(path: Path, _: Any) -> Any:
    import cloudpickle

    with path.open("rb") as file:
        return cloudpickle.load(file)  # signed and checked before; see `supervision`


_READERS: dict[Any, Callable[[Path, Any], Any]] = {
    "skops": _skops,
    "cloudpickle": _pickle,
    "pickle": _pickle,
}


def _guess(estimator: Any, folder: Path) -> tuple[tuple[TensorSpec, ...], Layout]:
    """Inputs of a model saved without a signature, all as FP64."""
    names = getattr(estimator, "feature_names_in_", None)
    if names is not None:
        return tuple(TensorSpec(str(name), Datatype.FP64) for name in names), Layout.COLUMNS
    width = getattr(estimator, "n_features_in_", None)
    if width is None:
        raise Refused(
            "model-without-signature",
            "nothing says what the model takes",
            context=str(folder),
            hint="Save it with a signature (mlflow.models.infer_signature) and register again.",
        )
    return (TensorSpec(mlmodel.UNNAMED, Datatype.FP64, int(width)),), Layout.TENSOR


_Arrange = Callable[[Sequence[Values], int], Any]


def _by_position(estimator: Any, inputs: Sequence[TensorSpec], layout: Layout) -> bool:
    """Whether plain arrays will do."""
    if layout is Layout.TENSOR:
        return True
    text = any(spec.datatype is Datatype.BYTES for spec in inputs)
    return not text and forget_names(estimator)


def _matrices(inputs: Sequence[TensorSpec]) -> _Arrange:
    kinds = {spec.datatype for spec in inputs}
    same = len(kinds) == 1
    dtype = np.dtype(KINDS[next(iter(kinds))].numpy if same else "float64")
    return lambda values, rows: matrix(inputs, values, rows, dtype)
