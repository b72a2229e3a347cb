"""The same scikit-learn models for every server."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np

WIDTH = 20
NAMES = [f"f{place}" for place in range(WIDTH)]
ROW = [round(place / 10 - 1.0, 1) for place in range(WIDTH)]


def make(shelf: Path) -> None:
    """Write ``lr`` and ``hgb`` (arrays), ``lrf`` (data frame), and ``lr.joblib``.

    Each as ``<name>/mlflow``, signed, with an ONNX form where there is one.
    """
    import joblib
    import pandas as pd
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression

    random = np.random.default_rng(0)
    rows = random.normal(size=(2000, WIDTH))
    late = (rows[:, 0] + 0.5 * rows[:, 1] + random.normal(size=2000) > 0).astype(int)
    frame = pd.DataFrame(rows, columns=NAMES)
    linear = LogisticRegression().fit(rows, late)
    joblib.dump(linear, shelf / "lr.joblib")
    _save(linear, rows, shelf / "lr")
    _save(LogisticRegression().fit(frame, late), frame, shelf / "lrf")
    _save(HistGradientBoostingClassifier(random_state=0).fit(rows, late), rows, shelf / "hgb")


def _save(model: Any, example: Any, folder: Path) -> None:
    import mlflow.sklearn
    from mlflow.models import infer_signature

    from triune.models.registry import signing
    from triune.models.serving.onnx_form import convert

    shutil.rmtree(folder, ignore_errors=True)
    mlflow.sklearn.save_model(
        model,
        str(folder / "mlflow"),
        signature=infer_signature(example, model.predict(example)),
        serialization_format="cloudpickle",
        pip_requirements=["scikit-learn"],
    )
    form = convert(folder / "mlflow", example)
    if form is not None:
        form.save(folder / "onnx")
    signing.make_key(folder.parent / "keys")
    signing.sign(folder, folder.parent / "keys" / signing.PRIVATE)
