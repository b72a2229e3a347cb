"""From a model folder to a `Model`: the ONNX form when there is one, else its own library."""

from __future__ import annotations

import time
from pathlib import Path

from triune.core.config import Datatype
from triune.models.serving.engine import Bound
from triune.models.serving.ports import Model
from triune.models.serving.protocol.contract import Contract
from triune.models.serving.tensors import KINDS, TensorSpec, Values

INLINE_SECONDS = 0.002
"""A model that answers one row within this runs on the event loop itself."""


def load(folder: Path) -> Model:
    """The model in a folder, by the quickest backend that gives the right answers.

    Neither MLflow nor scikit-learn is imported when there is an ONNX form; MLflow is not
    imported for scikit-learn models. Raises `Refused` when it cannot be loaded.
    """
    from triune.models.serving.backends import onnx

    if (folder / onnx.MODEL).is_file():
        return onnx.load(folder)
    from triune.models.serving.backends import sklearn

    try:
        return sklearn.load(folder / "mlflow")
    except sklearn.NotSklearn:
        from triune.models.serving.backends import pyfunc

        return pyfunc.load(folder / "mlflow")


def warm(bound: Bound, contract: Contract) -> float:
    """Run the model a few times on neutral values; the quickest run's seconds.

    A model that does not take neutral values (an unknown category, say) counts as slow.
    """
    values: list[Values] = [[_neutral(spec)] * spec.width for spec in contract.inputs]
    quickest = float("inf")
    for _ in range(5):
        begin = time.perf_counter()
        try:
            bound.predict(values, 1)
        except Exception:
            return float("inf")
        quickest = min(quickest, time.perf_counter() - begin)
    return quickest


def _neutral(spec: TensorSpec) -> object:
    return "" if spec.datatype is Datatype.BYTES else KINDS[spec.datatype].json(0)
