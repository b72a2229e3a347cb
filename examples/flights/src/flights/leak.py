"""A model whose process dies after some thousand rows, as one with a leaking handle would."""

from __future__ import annotations

import os
from typing import Any

import pandas as pd

EXIT_STATUS = 70


def leaking(model: Any, handles: int) -> Any:
    """``model`` as an MLflow model that ends its process once ``handles`` rows were answered.

    The class is made here, inside a function, so that it is stored by value: the model
    loads where this package is not installed.
    """
    from mlflow.pyfunc import PythonModel

    class LeakingModel(PythonModel):  # type: ignore[misc]
        def __init__(self) -> None:
            self.open_handles = 0

        def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> Any:
            del context, params
            self.open_handles += len(model_input)
            if self.open_handles > handles:
                os._exit(EXIT_STATUS)
            return model.predict_proba(model_input)[:, 1]

    return LeakingModel()
