"""What can be told from a fitted scikit-learn estimator: whether it goes by column names, and
how its answers read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from triune.core.config import Datatype
from triune.models.serving.tensors import TensorSpec, Values

Answer = Callable[[Any], list[Values]]
"""From the estimator's input to one flat list per output."""


def forget_names(estimator: Any) -> bool:
    """Make an estimator take plain arrays silently, if position is all it goes by; whether
    it is."""
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


def answers(estimator: Any, function: str) -> tuple[tuple[TensorSpec, ...], str, Answer]:
    """The outputs, the name of the main one, and how to compute them.

    ``function`` is the method that MLflow would call: it decides what is the main output.
    """
    from sklearn.base import is_classifier, is_regressor

    classes = getattr(estimator, "classes_", None) if is_classifier(estimator) else None
    if isinstance(classes, np.ndarray) and function in ("predict", "predict_proba"):
        if hasattr(estimator, "predict_proba"):
            return _classifier(estimator, classes, function)
        label = TensorSpec("label", _datatype(classes))
        return (label,), "label", lambda x: [estimator.predict(x).tolist()]
    regressor = function == "predict" and is_regressor(estimator)
    name = "prediction" if regressor else "predict"
    spec = TensorSpec(name, Datatype.FP64, 1 if regressor and _single(estimator) else 0)
    call = getattr(estimator, function)
    return (spec,), name, lambda x: [np.asarray(call(x), np.float64).ravel().tolist()]


def _classifier(
    estimator: Any, classes: Any, function: str
) -> tuple[tuple[TensorSpec, ...], str, Answer]:
    label = TensorSpec("label", _datatype(classes))
    score = TensorSpec("score", Datatype.FP64)
    every = TensorSpec("probabilities", Datatype.FP64, len(classes))
    binary = len(classes) == 2
    proba = function == "predict_proba"
    outputs = (label, *([score] if binary else []), *([every] if proba or not binary else []))
    follows = _label_follows(estimator)

    def answer(x: Any) -> list[Values]:
        chances = estimator.predict_proba(x)
        labels = classes.take(chances.argmax(axis=1)) if follows else estimator.predict(x)
        given: dict[str, Values] = {"label": labels.tolist()}
        if binary:
            given["score"] = chances[:, 1].tolist()
        if len(outputs) > len(given):
            given["probabilities"] = chances.ravel().tolist()
        return list(given.values())

    return outputs, "probabilities" if proba else "label", answer


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
    last = last_step(estimator)
    return type(last).__name__ in _ARGMAX and type(last).__module__.startswith("sklearn.")


def _datatype(classes: Any) -> Datatype:
    kind = classes.dtype.kind
    return {"i": Datatype.INT64, "u": Datatype.INT64, "b": Datatype.BOOL, "f": Datatype.FP64}.get(
        kind, Datatype.BYTES
    )


def last_step(estimator: Any) -> Any:
    """The estimator at the end of a pipeline, or the estimator itself."""
    steps = getattr(estimator, "steps", None)
    return last_step(steps[-1][1]) if steps else estimator


def _single(regressor: Any) -> bool:
    last = last_step(regressor)
    several = getattr(last, "n_outputs_", 1) > 1 or np.ndim(getattr(last, "coef_", 0.0)) > 1
    return not several
