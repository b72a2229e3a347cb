"""What the workspace's training function is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from triune.core.errors import Refused
from triune.models.tracking.model import Value
from triune.models.tracking.session import Run

if TYPE_CHECKING:
    import pandas as pd

    Join = Callable[[pd.DataFrame, str], pd.DataFrame]


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
    joined: what `history` asks; None when the training declares no ``history``
    """

    run: Run
    data: Path
    features: Mapping[str, pd.DataFrame]
    params: Mapping[str, Value]
    seed: int
    code: Path
    onnx: bool = True
    purpose: str = ""
    joined: Join | None = None

    def history(self, entities: pd.DataFrame, *, moment: str = "event_timestamp") -> pd.DataFrame:
        """The entity rows with the training's ``history`` features as known at each moment.

        Every row is kept, in its order; the column ``moment`` has each row's own. A feature that
        two views have is named ``<view>__<feature>``.

        Raises
        ------
        Refused: (``history-undeclared``) the training names none in ``triune.toml``;
            ``feature-entities-unfit``, ``feature-source-missing``, ``feature-source-broken``.
        """
        if self.joined is None:
            raise Refused(
                "history-undeclared",
                "the training declares no features of the feature store",
                context=self.run.name,
                hint='Name them in its table: history = ["view", "view:feature"].',
            )
        return self.joined(entities, moment)

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
