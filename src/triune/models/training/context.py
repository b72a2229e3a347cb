"""What the workspace's training function is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from triune.models.tracking.model import Value
from triune.models.tracking.session import Run

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class TrainingContext:
    """Everything a training may depend on; what it reads from elsewhere cannot be reproduced.

    Attributes
    ----------
    run: the tracked run: ``context.run.log(step=3, auc=0.71)``
    data: the dataset's path
    features: each feature view's columns, by row key
    params: the training's parameters, overrides applied
    seed: what Python, NumPy and hashing were seeded with; give it to your library
    code: the workspace's code; a saved model takes it along
    onnx: whether a saved model is given an ONNX form too, where its answers stay equal
    purpose: the training function's docstring, for the model card
    """

    run: Run
    data: Path
    features: Mapping[str, pd.DataFrame]
    params: Mapping[str, Value]
    seed: int
    code: Path
    onnx: bool = True
    purpose: str = ""

    def save_model(
        self,
        model: Any,
        *,
        example: pd.DataFrame,
        predict: str = "predict",
        intended_use: str = "",
        limits: str = "",
        requirements: Sequence[str] | None = None,
    ) -> Path:
        """Keep the trained model as the run's model; returns the MLflow model folder.

        Parameters
        ----------
        model: a scikit-learn estimator or pipeline, or an `mlflow.pyfunc.PythonModel`
        example: rows as callers will send them; gives the input types, the first 20 are kept
        predict: the estimator's method that answers, e.g. ``predict_proba``
        intended_use, limits: two paragraphs for the model card; the first is the training
            function's docstring unless given
        requirements: pinned packages the model needs; default: what its kind needs

        Raises
        ------
        Refused: ``model-unsupported``.
        """
        from triune.models.training.saving import save

        return save(
            self.run,
            model,
            example=example,
            predict=predict,
            code=self.code,
            notes={"intended_use": intended_use or self.purpose, "limits": limits},
            requirements=requirements,
            onnx=self.onnx,
        )
