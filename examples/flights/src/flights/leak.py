"""A model whose process dies after some thousand rows, as one with a leaking handle would."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pandas as pd

EXIT_STATUS = 70


def leaking(model: Any, handles: int) -> Any:
    """``model`` as an MLflow model that ends its process once ``handles`` rows were answered.

    It answers from the pipeline's weights directly, fast as the native code it stands for.
    The class is made here, inside a function, so that it is stored by value: the model
    loads where this package is not installed.
    """
    from mlflow.pyfunc import PythonModel

    weights, numbers, intercept = _weights(model)

    class LeakingModel(PythonModel):  # type: ignore[misc]
        def __init__(self) -> None:
            self.open_handles = 0

        def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> Any:
            del context, params
            self.open_handles += len(model_input)
            if self.open_handles > handles:
                os._exit(EXIT_STATUS)
            total = np.full(len(model_input), intercept)
            for name, known in weights.items():
                total += [known.get(value, 0.0) for value in model_input[name].tolist()]
            for name, (weight, mean, scale) in numbers.items():
                total += weight * (model_input[name].to_numpy("float64") - mean) / scale
            return 1.0 / (1.0 + np.exp(-total))

    return LeakingModel()


def _weights(
    model: Any,
) -> tuple[dict[str, dict[Any, float]], dict[str, tuple[float, float, float]], float]:
    """The weight of each category, (weight, mean, scale) of each number, and the intercept."""
    columns, linear = model.named_steps["columns"], model.named_steps["model"]
    encoder, scaler = (
        columns.named_transformers_["categories"],
        columns.named_transformers_["numbers"],
    )
    coefficients = iter(linear.coef_[0].tolist())
    weights = {
        str(name): {value: next(coefficients) for value in values.tolist()}
        for name, values in zip(encoder.feature_names_in_, encoder.categories_, strict=True)
    }
    numbers = {
        str(name): (next(coefficients), float(mean), float(scale))
        for name, mean, scale in zip(
            scaler.feature_names_in_, scaler.mean_, scaler.scale_, strict=True
        )
    }
    return weights, numbers, float(linear.intercept_[0])
