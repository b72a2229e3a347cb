"""Any MLflow model by its python function; imports MLflow, so it starts slowly."""

from __future__ import annotations

import os
from collections.abc import Sequence
from math import inf
from pathlib import Path
from typing import Any

import numpy as np

from triune.core.config import Datatype
from triune.core.errors import Refused
from triune.models.serving.backends import mlmodel
from triune.models.serving.backends.frames import Frames, matrix
from triune.models.serving.tensors import KINDS, Layout, TensorSpec, Values

_DATATYPES = {"i": Datatype.INT64, "u": Datatype.INT64, "b": Datatype.BOOL, "f": Datatype.FP64}


class PyfuncModel:
    """A loaded ``mlflow.pyfunc`` model; see `Model`. Its one output is ``predict``."""

    form = "pyfunc"
    largest = inf
    main_output = "predict"

    def __init__(self, model: Any, described: mlmodel.MlModel) -> None:
        if described.inputs is None:
            raise Refused(
                "model-without-signature",
                "nothing says what the model takes",
                context=str(described.folder),
                hint="Save it with a signature (mlflow.models.infer_signature), register again.",
            )
        self._model = model
        self.inputs = described.inputs
        self.layout = described.layout
        self._frames = Frames(self.inputs) if self.layout is Layout.COLUMNS else None
        self._dtype = np.dtype(KINDS[self.inputs[0].datatype].numpy)
        self.outputs = (TensorSpec("predict", self._datatype(), 0),)

    def predict(self, inputs: Sequence[Values], rows: int) -> list[Values]:
        """One call of the python function."""
        if self._frames is not None:
            data = self._frames.build(inputs, rows)
        else:
            data = matrix(self.inputs, inputs, rows, self._dtype)
        answer = np.asarray(self._model.predict(data))
        if answer.shape[:1] != (rows,):
            raise ValueError(f"{rows} rows in, an answer of shape {answer.shape} out")
        return [_plain(answer.ravel(), self.outputs[0].datatype)]

    def _datatype(self) -> Datatype:
        """The output's datatype, learnt from one answer on neutral values."""
        neutral: list[Values] = [[KINDS[spec.datatype].json()] * spec.width for spec in self.inputs]
        self.outputs = (TensorSpec("predict", Datatype.FP64, 0),)
        try:
            data = (
                self._frames.build(neutral, 1)
                if self._frames is not None
                else matrix(self.inputs, neutral, 1, self._dtype)
            )
            return _DATATYPES.get(np.asarray(self._model.predict(data)).dtype.kind, Datatype.BYTES)
        except Exception:
            return Datatype.FP64


def load(folder: Path) -> PyfuncModel:
    """The model by its python function; raises `Refused` (``model-not-loadable``)."""
    described = mlmodel.read(folder)
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    try:
        import mlflow.pyfunc

        model = mlflow.pyfunc.load_model(str(folder))
    except Exception as error:  # loading runs the model's own code
        raise Refused(
            "model-not-loadable",
            f"its own library cannot load it: {type(error).__name__}: {error}",
            context=str(folder),
            hint="Install the packages it was trained with, or train it again.",
        ) from error
    return PyfuncModel(model, described)


def _plain(answer: Any, datatype: Datatype) -> list[Any]:
    if datatype is Datatype.BYTES:
        return [str(value) for value in answer.tolist()]
    return np.asarray(answer, KINDS[datatype].numpy).tolist()  # type: ignore[no-any-return]
