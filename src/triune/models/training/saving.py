"""Writing a trained model as an MLflow model folder that loads elsewhere."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from triune.core.errors import Refused
from triune.models.tracking.session import Run

if TYPE_CHECKING:
    import pandas as pd

EXAMPLE_ROWS = 20
MODEL, EXAMPLE, ANSWERS, FACTS = "model", "example.json", "answers.json", "model.json"
ONNX, ONNX_NOTE = "onnx", "onnx.json"
ONNX_ROWS = 200

_NEEDED = ("cloudpickle", "numpy", "pandas", "scikit-learn", "scipy")


def save(
    run: Run,
    model: Any,
    *,
    example: pd.DataFrame,
    predict: str,
    code: Path,
    notes: Mapping[str, str],
    requirements: Sequence[str] | None,
    onnx: bool = True,
) -> Path:
    """Keep model, example, the model's answers to it, and its facts as the run's artifacts."""
    from mlflow.models import infer_signature
    from mlflow.pyfunc import PythonModel

    rows = example.head(EXAMPLE_ROWS)
    pinned = list(requirements) if requirements is not None else _pinned()
    if isinstance(model, PythonModel):
        answers, predict = model.predict(None, rows), "predict"
    else:
        answers = _method(model, predict)(rows)
    with tempfile.TemporaryDirectory(prefix="triune-model-") as folder:
        target = Path(folder) / MODEL
        _write(
            model,
            target,
            predict=predict,
            signature=infer_signature(rows, answers),
            code_paths=_code_it_needs(model, code),
            pip_requirements=pinned,
        )
        kept = run.artifact(target, MODEL)
    run.artifact(_json({"inputs": _columns(rows)}), EXAMPLE)
    run.artifact(_json({"answers": _plain(answers)}), ANSWERS)
    facts = {
        "class": f"{type(model).__module__}.{type(model).__qualname__}",
        "predict": predict,
        "inputs": {str(name): str(kind) for name, kind in rows.dtypes.items()},
        "requirements": pinned,
        **notes,
    }
    run.artifact(_json(facts), FACTS)
    if onnx:
        _make_onnx(run, kept, example.head(ONNX_ROWS))
    return kept


def _make_onnx(run: Run, model: Path, rows: pd.DataFrame) -> None:
    """Keep the model's ONNX form, or why it has none. Made here, where the model's library is
    loaded already: doing it at registration would cost seconds."""
    from triune.models.serving.onnx_form import convert

    reasons: list[str] = []
    form = convert(model, rows, why_not=reasons.append)
    if form is None:
        run.artifact(_json({"form": False, "reason": "; ".join(reasons)}), ONNX_NOTE)
        return
    with tempfile.TemporaryDirectory(prefix="triune-onnx-") as folder:
        form.save(Path(folder))
        run.artifact(Path(folder), ONNX)
    run.artifact(_json({"form": True, "rows_compared": form.rows_compared}), ONNX_NOTE)


def _write(model: Any, target: Path, *, predict: str, **options: Any) -> None:
    import mlflow.pyfunc
    from sklearn.base import BaseEstimator

    if isinstance(model, mlflow.pyfunc.PythonModel):
        mlflow.pyfunc.save_model(str(target), python_model=model, **options)
        return
    if not isinstance(model, BaseEstimator):
        raise Refused(
            "model-unsupported",
            f"{type(model).__name__} is neither a scikit-learn estimator nor a PythonModel",
            hint="Wrap it in an mlflow.pyfunc.PythonModel.",
        )
    import mlflow.sklearn

    mlflow.sklearn.save_model(
        model,
        str(target),
        serialization_format=mlflow.sklearn.SERIALIZATION_FORMAT_CLOUDPICKLE,
        pyfunc_predict_fn=predict,
        **options,
    )


def _method(model: Any, name: str) -> Any:
    method = getattr(model, name, None)
    if callable(method):
        return method
    raise Refused(
        "model-unsupported",
        f"{type(model).__name__} has no method {name!r}",
        hint="Pass the method that answers as save_model(..., predict=...).",
    )


def _pinned() -> list[str]:
    return [f"{name}=={version(name)}" for name in _NEEDED]


def _code_it_needs(model: Any, code: Path) -> list[str] | None:
    """The workspace's packages and modules, when the model is made of their classes: it then
    loads where the workspace is not. A model of libraries alone brings no code along."""
    import cloudpickle

    own = _packages(code)
    words = _words(cloudpickle.dumps(model))
    named = any(word == p.stem or word.startswith(f"{p.stem}.") for p in own for word in words)
    return [str(path) for path in own] if named else None


def _packages(code: Path) -> list[Path]:
    if not code.is_dir():
        return []
    return sorted(
        path
        for path in code.iterdir()
        if path.suffix == ".py" or (path.is_dir() and next(path.rglob("*.py"), None) is not None)
    )


def _words(pickled: bytes) -> set[str]:
    """Every text in a pickle, the names of modules among them; nothing is loaded."""
    import pickletools

    return {value for _, value, _ in pickletools.genops(pickled) if isinstance(value, str)}


def _columns(frame: pd.DataFrame) -> dict[str, list[Any]]:
    return {str(name): _plain(frame[name].tolist()) for name in frame.columns}


def _plain(value: Any) -> Any:
    """Arrays and frames as lists; what JSON cannot hold as null or text."""
    if hasattr(value, "to_numpy"):
        value = value.to_numpy()
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int | bool) else str(value)


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=1, ensure_ascii=False).encode()
