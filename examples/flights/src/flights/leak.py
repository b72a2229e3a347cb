"""A model whose process dies after some thousand rows, as one with a leaking handle would."""

from __future__ import annotations

import os
from typing import Any

import pandas as pd

from flights.weights import scorer, weights_of

EXIT_STATUS = 70


def leaking(model: Any, handles: int) -> Any:
    """``model`` as an MLflow model that ends its process once ``handles`` rows were answered.

    It answers from the pipeline's weights directly, fast as the native code it stands for.
    The class is made here, inside a function, so that it is stored by value: the model
    loads where this package is not installed.
    """
    from mlflow.pyfunc import PythonModel

    score, status = scorer(weights_of(model)), EXIT_STATUS

    class LeakingModel(PythonModel):  # type: ignore[misc]
        def __init__(self) -> None:
            self.open_handles = 0

        def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> Any:
            del context, params
            self.open_handles += len(model_input)
            if self.open_handles > handles:
                os._exit(status)
            return score(model_input)

    return LeakingModel()
