"""A model gets an ONNX form only when its answers are equal; else the reason is given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.models import example, make, shelf_of
from triune.models.serving import onnx_form
from triune.models.serving.backends.onnx import OnnxModel
from triune.models.serving.tensors import Values


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shelf_of(tmp_path_factory)


def convert(kind: str, shelf: Path) -> tuple[onnx_form.OnnxForm | None, str]:
    reasons: list[str] = []
    folder = make(kind, shelf, onnx=False) / "mlflow"
    form = onnx_form.convert(folder, example(kind), why_not=reasons.append)
    return form, "; ".join(reasons)


@pytest.mark.parametrize("kind", ["tensor", "x", "columns", "mixed", "forest", "regressor"])
def test_scikit_learn_models_have_a_form(kind: str, shelf: Path) -> None:
    form, _ = convert(kind, shelf)
    assert form is not None
    assert form.rows_compared > 200


def test_integers_stay_integers_and_text_stays_text(shelf: Path) -> None:
    form, _ = convert("mixed", shelf)
    assert form is not None
    assert [(spec.name, str(spec.datatype)) for spec in form.signature.inputs] == [
        ("distance", "FP64"),
        ("hour", "INT64"),
        ("carrier", "BYTES"),
        ("tail number", "BYTES"),
    ]


@pytest.mark.parametrize(("kind", "why"), [("sleepy", "skl2onnx"), ("double", "only scikit-learn")])
def test_others_have_none_and_say_why(kind: str, why: str, shelf: Path) -> None:
    form, reason = convert(kind, shelf)
    assert form is None
    assert why in reason


@pytest.mark.parametrize(
    ("output", "wrong", "reason"),
    [(0, lambda label: 1 - label, "labels"), (1, lambda score: score * 1.001, "score by up to")],
)
def test_a_form_that_answers_differently_is_refused(
    output: int, wrong: Any, reason: str, shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict = OnnxModel.predict

    def lying(self: OnnxModel, inputs: list[Values], rows: int) -> list[Values]:
        answers = predict(self, inputs, rows)
        answers[output] = [wrong(value) for value in answers[output]]
        return answers

    monkeypatch.setattr(OnnxModel, "predict", lying)
    form, why = convert("columns", shelf)
    assert form is None
    assert "its answers differ" in why
    assert reason in why


def test_an_example_that_lacks_columns_is_told(shelf: Path) -> None:
    reasons: list[str] = []
    folder = make("columns", shelf, onnx=False) / "mlflow"
    frame = example("columns").drop(columns=["b"])
    assert onnx_form.convert(folder, frame, why_not=reasons.append) is None
    assert reasons == ["the example lacks b"]
