"""Giving a scikit-learn model an ONNX form, kept only when its answers are equal.

`convert` is called at registration. The form answers with ``label`` and ``score`` (or
``probabilities``) for classifiers and ``prediction`` for regressors, and takes the same
named inputs of the same datatypes, exactly as the scikit-learn backend does: which of the
two serves is invisible to callers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from triune.core.errors import Refused
from triune.core.files import write_atomic
from triune.models.serving.signature import NoForm, OnnxSignature
from triune.models.serving.tensors import KINDS, Layout, Values

if TYPE_CHECKING:
    from triune.models.serving.backends.sklearn import SklearnModel
    from triune.models.serving.ports import Model

log = logging.getLogger("triune.serving")

RELATIVE_TOLERANCE = 1e-5
"""How far apart two scores may be, relative to the larger of the two."""
ABSOLUTE_TOLERANCE = 1e-6
"""Scores this close are equal whatever their size: single precision ends here."""
_ROWS = 500

Trials = list[tuple[list[Values], int]]


@dataclass(frozen=True, slots=True)
class OnnxForm:
    """A graph whose answers were found equal, and on how many rows."""

    graph: bytes
    signature: OnnxSignature
    rows_compared: int

    def save(self, folder: Path) -> None:
        """Write ``model.onnx`` and ``signature.json`` into a version's ``onnx`` folder."""
        write_atomic(folder / "model.onnx", self.graph)
        self.signature.save(folder / "signature.json")


def convert(
    mlflow_folder: Path, example: Any, *, why_not: Callable[[str], None] | None = None
) -> OnnxForm | None:
    """The ONNX form of the model in an MLflow folder, or None (``why_not`` is told why).

    ``example`` is what the model was trained on, or some rows of it (DataFrame, array or
    list of rows). At most 500 of its rows are compared, and as many perturbed ones: labels
    must be identical and scores equal within 1e-5 relative.
    """
    try:
        return attempt(mlflow_folder, example)
    except NoForm as reason:
        (why_not or _log)(str(reason))
        return None


def attempt(mlflow_folder: Path, example: Any) -> OnnxForm:
    """As `convert`; raises `NoForm` with the reason."""
    from triune.models.serving.backends import sklearn

    try:
        model = sklearn.load(mlflow_folder)
    except sklearn.NotSklearn as error:
        raise NoForm(f"only scikit-learn models are converted: {error}") from None
    trials = _trials(model, _columns(model, example))
    try:
        return _equal_form(model, trials, integers_as_floats=False)
    except NoForm:
        return _equal_form(model, trials, integers_as_floats=True)


def _equal_form(model: SklearnModel, trials: Trials, *, integers_as_floats: bool) -> OnnxForm:
    from triune.models.serving.backends import skl2onnx
    from triune.models.serving.backends.onnx import OnnxModel

    graph, signature = skl2onnx.convert(model, integers_as_floats=integers_as_floats)
    try:
        form = OnnxModel(graph, signature)
    except Refused as error:
        raise NoForm(error.message) from None
    rows = 0
    for values, count in trials:
        difference = compare(model, form, values, count)
        if difference is not None:
            raise NoForm(f"its answers differ: {difference}")
        rows += count
    return OnnxForm(graph, signature, rows)


def compare(model: Model, form: Model, values: list[Values], rows: int) -> str | None:
    """What differs between the answers of two models, or None when they are equal."""
    pick = [[spec.name for spec in model.inputs].index(spec.name) for spec in form.inputs]
    wanted = model.predict(values, rows)
    given = form.predict([values[place] for place in pick], rows)
    for spec, left, right in zip(model.outputs, wanted, given, strict=True):
        if spec.name == "label":
            wrong = sum(a != b for a, b in zip(left, right, strict=True))
            if wrong:
                return f"{wrong} of {rows} labels"
            continue
        a, b = np.asarray(left, np.float64), np.asarray(right, np.float64)
        close = np.isclose(a, b, rtol=RELATIVE_TOLERANCE, atol=ABSOLUTE_TOLERANCE)
        if not close.all():
            return f"{spec.name} by up to {np.abs(a - b).max():.3g}"
    return None


def _columns(model: Model, example: Any) -> list[list[Any]]:
    """The example as flat values per input of the model."""
    if model.layout is Layout.TENSOR:
        array = np.asarray(example)[:_ROWS]
        return [array.astype(np.float64).ravel().tolist()]
    names = [spec.name for spec in model.inputs]
    if not hasattr(example, "columns"):
        table = np.asarray(example, dtype=object)[:_ROWS]
        return [table[:, place].tolist() for place in range(len(names))]
    missing = [name for name in names if name not in example.columns]
    if missing:
        raise NoForm(f"the example lacks {', '.join(missing)}")
    rows = example.iloc[:: max(1, len(example) // _ROWS)].head(_ROWS)
    if rows[names].isna().any(axis=None):
        rows = rows.dropna(subset=names)
    return [[KINDS[spec.datatype].json(v) for v in rows[spec.name]] for spec in model.inputs]


def _trials(model: Model, columns: list[list[Any]]) -> Trials:
    """The example's rows, and the same shaken: numbers scaled and shifted by some of their
    own spread, texts shuffled between rows and sometimes unknown."""
    rows = len(columns[0]) // model.inputs[0].width
    if rows < 1:
        raise NoForm("the example has no rows without missing values")
    random = np.random.default_rng(0)
    shaken = [_shaken(values, random) for values in columns]
    trials: Trials = [(list(columns), rows), (list(shaken), rows)]
    single: list[Values] = [
        values[: spec.width] for spec, values in zip(model.inputs, columns, strict=True)
    ]
    return [*trials, (single, 1)]


def _shaken(values: list[Any], random: np.random.Generator) -> list[Any]:
    first = values[0]
    if isinstance(first, str):
        mixed = [values[place] for place in random.permutation(len(values))]
        mixed[0] = "?" if len(mixed) > 10 else mixed[0]
        return mixed
    if isinstance(first, bool):
        return [bool(flag) for flag in random.integers(0, 2, len(values))]
    array = np.asarray(values, np.float64)
    noise = random.normal(0.0, 0.5 * float(array.std()) + 1e-3, len(values))
    if isinstance(first, int):
        return [int(value) for value in np.rint(array + noise)]
    return (array + noise).tolist()  # type: ignore[no-any-return]


def _log(reason: str) -> None:
    log.info("no ONNX form: %s", reason)
