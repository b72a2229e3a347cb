"""Tiny signed model folders, each made once per test session and shared by its workers."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from triune.core.files import locked
from triune.core.ids import digest_tree
from triune.models.registry import signing
from triune.models.serving.spec import ModelFile

ROWS = 120


def example(kind: str) -> Any:
    """What a kind of model was trained on."""
    import pandas as pd

    random = np.random.default_rng(7)
    if kind == "tensor":
        return random.normal(size=(ROWS, 4))
    if kind == "mixed":
        return pd.DataFrame(
            {
                "distance": random.normal(800, 300, ROWS),
                "hour": random.integers(0, 24, ROWS),
                "carrier": random.choice(["AA", "B6", "UA", "DL"], ROWS),
                "tail number": random.choice(["n1", "n2", "n3"], ROWS),
            }
        )
    if kind in ("sleepy", "double", "x"):
        return pd.DataFrame({"x": random.normal(size=ROWS)})
    return pd.DataFrame({name: random.normal(size=ROWS) for name in ("a", "b", "c")})


def _target(kind: str, frame: Any) -> Any:
    numbers = np.asarray(frame if kind != "mixed" else frame[["distance"]], dtype=float)
    total = numbers.sum(axis=1)
    if kind == "forest":
        return np.array(["low", "mid", "high"])[np.digitize(total, [-0.7, 0.7])]
    if kind == "regressor":
        return total
    return (total > np.median(total)).astype(int)


def _estimator(kind: str) -> Any:
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import (
        GradientBoostingRegressor,
        HistGradientBoostingClassifier,
        RandomForestClassifier,
    )
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    if kind == "mixed":
        encode = ColumnTransformer(
            [
                ("numbers", StandardScaler(), ["distance", "hour"]),
                ("texts", OneHotEncoder(handle_unknown="ignore"), ["carrier", "tail number"]),
            ]
        )
        return Pipeline([("encode", encode), ("model", LogisticRegression())])
    makers: dict[str, Callable[[], Any]] = {
        "forest": lambda: RandomForestClassifier(n_estimators=5, max_depth=4, random_state=0),
        "regressor": lambda: GradientBoostingRegressor(n_estimators=5, random_state=0),
        "histogram": lambda: HistGradientBoostingClassifier(max_iter=5, random_state=0),
    }
    return makers.get(kind, LogisticRegression)()


SLEEPY = '''
import time
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin


class Sleepy(ClassifierMixin, BaseEstimator):
    """Sleeps x seconds for x > 0; raises for x of -1; NaN for -2."""

    def fit(self, x, y):
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, x):
        first = float(np.asarray(x)[0, 0])
        if first > 0:
            time.sleep(first)
        if first == -1.0:
            raise RuntimeError("told to fail")
        chance = np.full(len(x), np.nan if first == -2.0 else 0.75)
        return np.column_stack([1 - chance, chance])

    def predict(self, x):
        return self.classes_[self.predict_proba(x).argmax(axis=1)]
'''

DOUBLE = """
import mlflow
from mlflow.pyfunc import PythonModel


class Double(PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input["x"].to_numpy() * 2


mlflow.models.set_model(Double())
"""


def _save(kind: str, folder: Path) -> None:
    """An MLflow folder; requirements are given, since guessing them takes 15 seconds."""
    import mlflow.pyfunc
    import mlflow.sklearn
    from mlflow.models import infer_signature

    frame = example(kind)
    code = folder.with_suffix(".code")
    code.mkdir(exist_ok=True)
    if kind == "double":
        script = code / "double_model.py"
        script.write_text(DOUBLE)
        signature = infer_signature(frame, frame["x"].to_numpy() * 2)
        mlflow.pyfunc.save_model(
            str(folder), python_model=str(script), signature=signature, pip_requirements=["mlflow"]
        )
        return
    options: dict[str, Any] = {}
    if kind == "sleepy":
        import sys

        (code / "sleepy.py").write_text(SLEEPY)
        sys.path.insert(0, str(code))
        from sleepy import Sleepy  # type: ignore[import-not-found]

        fitted = Sleepy().fit(frame, _target(kind, frame))
        options["code_paths"] = [str(code / "sleepy.py")]
        answers = _target(kind, frame)
    else:
        fitted = _estimator(kind).fit(frame, _target(kind, frame))
        answers = fitted.predict(frame)
    mlflow.sklearn.save_model(
        fitted,
        str(folder),
        signature=infer_signature(frame, answers),
        serialization_format="cloudpickle",
        pip_requirements=["scikit-learn"],
        **options,
    )


def make(kind: str, shelf: Path, *, onnx: bool = True) -> Path:
    """The signed folder of a kind of model on a shelf that test processes share.

    With ``onnx`` it has an ONNX form if its kind can have one.
    """
    public = signing.make_key(shelf / "keys")
    folder = shelf / f"{kind}{'-onnx' if onnx else ''}"
    with locked(shelf / f"{kind}.lock"):
        plain = shelf / f"{kind}.mlflow"
        if not plain.exists():
            _save(kind, plain)
        if not folder.exists():
            staging = shelf / f".{folder.name}"
            shutil.copytree(plain, staging / "mlflow")
            if onnx:
                _add_onnx(kind, staging)
            signing.sign(staging, public.with_name(signing.PRIVATE))
            staging.rename(folder)
    return folder


def _add_onnx(kind: str, folder: Path) -> None:
    from triune.models.serving.onnx_form import convert

    form = convert(folder / "mlflow", example(kind))
    if form is not None:
        form.save(folder / "onnx")


def model_file(folder: Path, ref: str = "model:tiny@3") -> ModelFile:
    """The folder as a serving spec names it."""
    return ModelFile(
        ref=ref,
        path=folder,
        digest=_digest(folder),
        public_key=folder.parent / "keys" / signing.PUBLIC,
    )


@cache
def _digest(folder: Path) -> str:
    return digest_tree(folder, leave_out=["model.sig"])


def shelf_of(factory: Any) -> Path:
    """The shelf of this test run: one folder for all xdist workers.

    ``factory`` is pytest's ``tmp_path_factory``; each worker's base is a child of the run's.
    """
    base = Path(factory.getbasetemp())
    shelf = (base.parent if base.name.startswith("popen-") else base) / "models"
    shelf.mkdir(exist_ok=True)
    return shelf
