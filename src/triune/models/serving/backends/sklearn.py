"""scikit-learn models out of an MLflow folder, called directly: neither MLflow nor pandas is
imported unless the model needs column names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from triune.core.config import Datatype
from triune.core.errors import Refused
from triune.models.serving.backends import mlmodel
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
        self.outputs, self._answer = _answers(estimator, function)
        self.main_output = self.outputs[0].name

    def predict(self, inputs: Sequence[Values], rows: int) -> list[Values]:
        """One call of the estimator (two when labels do not follow from probabilities)."""
        return self._answer(self._arrange(inputs, rows))


def load(folder: Path) -> SklearnModel:
    """The estimator of an MLflow folder.

    Raises
    ------
    NotSklearn: another flavour, or code of its own that only MLflow's loader brings along.
    Refused: (``model-not-loadable``) the file cannot be read back;
        (``model-without-signature``) nothing says what it takes.
    """
    described = mlmodel.read(folder)
    flavor = described.flavors.get("sklearn")
    if flavor is None:
        raise NotSklearn(f"its flavours are {', '.join(sorted(described.flavors))}")
    if flavor.get("code") or flavor.get("serialization_format") not in _READERS:
        raise NotSklearn("it brings code of its own")
    try:
        estimator = _READERS[flavor["serialization_format"]](
            folder / flavor["pickled_model"], flavor.get("skops_trusted_types")
        )
    except Exception as error:  # unpickling may raise anything
        raise Refused(
            "model-not-loadable",
            f"{type(error).__name__}: {error}",
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
    return not text and _forget_names(estimator)


def _matrices(inputs: Sequence[TensorSpec]) -> _Arrange:
    kinds = {spec.datatype for spec in inputs}
    same = len(kinds) == 1
    dtype = np.dtype(KINDS[next(iter(kinds))].numpy if same else "float64")
    return lambda values, rows: matrix(inputs, values, rows, dtype)


def _forget_names(estimator: Any) -> bool:
    """Make an estimator take plain arrays silently, if position is all it goes by."""
    parts = _plain_parts(estimator)
    if parts is None:
        return False
    for part in parts:
        part.__dict__.pop("feature_names_in_", None)
    return True


def _plain_parts(estimator: Any) -> list[Any] | None:
    """The estimator and its pipeline steps when every one is scikit-learn's own and goes by
    position, else None."""
    steps = getattr(estimator, "steps", None)
    if type(estimator).__name__ == "Pipeline" and steps is not None:
        parts = [estimator]
        for _, step in steps:
            inner = [] if step is None or isinstance(step, str) else _plain_parts(step)
            if inner is None:
                return None
            parts += inner
        return parts
    own = type(estimator).__module__.split(".")[0] == "sklearn"
    by_name = type(estimator).__module__.startswith(("sklearn.compose", "sklearn.pipeline"))
    if not own or by_name or getattr(estimator, "is_categorical_", None) is not None:
        return None
    return [estimator]


_Answer = Callable[[Any], list[Values]]


def _answers(estimator: Any, function: str) -> tuple[tuple[TensorSpec, ...], _Answer]:
    from sklearn.base import is_classifier, is_regressor

    if function == "predict" and is_classifier(estimator):
        classes = estimator.classes_
        if not isinstance(classes, list) and hasattr(estimator, "predict_proba"):
            return _classifier(estimator, np.asarray(classes))
        if not isinstance(classes, list):
            label = TensorSpec("label", _datatype(np.asarray(classes)))
            return (label,), lambda x: [estimator.predict(x).tolist()]
    name = "prediction" if function == "predict" and is_regressor(estimator) else "predict"
    call = getattr(estimator, function)
    outputs = (TensorSpec(name, Datatype.FP64, 1 if name == "prediction" else 0),)
    if getattr(estimator, "n_outputs_", 1) > 1 or np.ndim(getattr(estimator, "coef_", 0.0)) > 1:
        outputs = (TensorSpec(name, Datatype.FP64, 0),)
    return outputs, lambda x: [np.asarray(call(x), np.float64).ravel().tolist()]


def _classifier(estimator: Any, classes: Any) -> tuple[tuple[TensorSpec, ...], _Answer]:
    label = TensorSpec("label", _datatype(classes))
    binary = len(classes) == 2
    scores = (
        TensorSpec("score", Datatype.FP64)
        if binary
        else TensorSpec("probabilities", Datatype.FP64, len(classes))
    )
    follows = _label_follows(estimator)

    def answer(x: Any) -> list[Values]:
        chances = estimator.predict_proba(x)
        labels = classes.take(chances.argmax(axis=1)) if follows else estimator.predict(x)
        flat = chances[:, 1] if binary else chances.ravel()
        return [labels.tolist(), flat.tolist()]

    return (label, scores), answer


_ARGMAX = {
    "DecisionTreeClassifier",
    "ExtraTreesClassifier",
    "GaussianNB",
    "GradientBoostingClassifier",
    "HistGradientBoostingClassifier",
    "LogisticRegression",
    "RandomForestClassifier",
}


def _label_follows(estimator: Any) -> bool:
    """Whether `predict` is the most probable class, so that one call is enough."""
    steps = getattr(estimator, "steps", None)
    last = steps[-1][1] if steps else estimator
    return type(last).__name__ in _ARGMAX and type(last).__module__.startswith("sklearn.")


def _datatype(classes: Any) -> Datatype:
    kind = classes.dtype.kind
    return {"i": Datatype.INT64, "u": Datatype.INT64, "b": Datatype.BOOL, "f": Datatype.FP64}.get(
        kind, Datatype.BYTES
    )
