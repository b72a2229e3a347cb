"""Every backend is a `Model`: same promises, same answers for the same model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.models import example, make, shelf_of
from triune.core.config import Datatype
from triune.models.serving import loading
from triune.models.serving.ports import Model
from triune.models.serving.tensors import KINDS, Layout, Values

KINDS_OF_MODEL = [
    ("tensor", True, "onnx"),
    ("tensor", False, "sklearn"),
    ("columns", True, "onnx"),
    ("columns", False, "sklearn"),
    ("mixed", True, "onnx"),
    ("mixed", False, "sklearn"),
    ("forest", True, "onnx"),
    ("forest", False, "sklearn"),
    ("regressor", True, "onnx"),
    ("regressor", False, "sklearn"),
    ("histogram", False, "sklearn"),
    ("sleepy", False, "sklearn"),
    ("double", False, "pyfunc"),
]


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shelf_of(tmp_path_factory)


@pytest.fixture(
    scope="module",
    params=KINDS_OF_MODEL,
    ids=[f"{kind}-{form}" for kind, _, form in KINDS_OF_MODEL],
)
def served(request: pytest.FixtureRequest, shelf: Path) -> tuple[str, str, Model]:
    kind, onnx, form = request.param
    return kind, form, loading.load(make(kind, shelf, onnx=onnx))


def rows_of(kind: str, model: Model, rows: int) -> list[Values]:
    """The first rows of what the model was trained on, as the server would pass them."""
    frame: Any = example(kind)
    if model.layout is Layout.TENSOR:
        return [frame[:rows].ravel().tolist()]
    columns = [frame[spec.name].tolist()[:rows] for spec in model.inputs]
    if kind == "sleepy":
        columns = [[-abs(value) / 10 for value in columns[0]]]
    return list(columns)


def test_the_form_is_the_quickest_there_is(served: tuple[str, str, Model]) -> None:
    _, form, model = served
    assert model.form == form


@pytest.mark.parametrize("rows", [1, 2, 50])
def test_one_flat_list_of_the_declared_type_per_output(
    served: tuple[str, str, Model], rows: int
) -> None:
    kind, _, model = served
    answers = model.predict(rows_of(kind, model, rows), rows)
    assert len(answers) == len(model.outputs)
    for spec, values in zip(model.outputs, answers, strict=True):
        assert len(values) == rows * (spec.width or 1)
        assert {type(value) for value in values} == {KINDS[spec.datatype].json}


def test_rows_do_not_depend_on_their_batch(served: tuple[str, str, Model]) -> None:
    kind, _, model = served
    together = model.predict(rows_of(kind, model, 3), 3)
    inputs = rows_of(kind, model, 3)
    for row in range(3):
        alone = model.predict(
            [
                values[row * spec.width : (row + 1) * spec.width]
                for spec, values in zip(model.inputs, inputs, strict=True)
            ],
            1,
        )
        for spec, one, all_rows in zip(model.outputs, alone, together, strict=True):
            width = spec.width or 1
            expected = all_rows[row * width : (row + 1) * width]
            if spec.datatype is Datatype.FP64:
                assert one == pytest.approx(expected, rel=1e-6)
            else:
                assert list(one) == list(expected)


def test_names_of_the_outputs_keep_the_convention(served: tuple[str, str, Model]) -> None:
    kind, _, model = served
    expected = {
        "regressor": ["prediction"],
        "forest": ["label", "probabilities"],
        "double": ["predict"],
    }.get(kind, ["label", "score"])
    assert [spec.name for spec in model.outputs] == expected
    assert model.main_output == expected[0]


@pytest.mark.parametrize("kind", ["tensor", "x", "columns", "mixed", "forest", "regressor"])
def test_the_onnx_form_is_invisible(kind: str, shelf: Path) -> None:
    onnx = loading.load(make(kind, shelf, onnx=True))
    plain = loading.load(make(kind, shelf, onnx=False))
    assert (onnx.form, plain.form) == ("onnx", "sklearn")
    assert onnx.inputs == plain.inputs
    assert onnx.outputs == plain.outputs
    assert onnx.main_output == plain.main_output
    inputs = rows_of(kind, plain, 100)
    for spec, a, b in zip(
        plain.outputs, plain.predict(inputs, 100), onnx.predict(inputs, 100), strict=True
    ):
        if spec.name == "label":
            assert list(a) == list(b)
        else:
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_answers_are_those_of_scikit_learn_itself(shelf: Path) -> None:
    import mlflow.sklearn

    folder = make("columns", shelf)
    frame = example("columns").head(20)
    estimator = mlflow.sklearn.load_model(str(folder / "mlflow"))
    labels, scores = loading.load(folder).predict(
        [frame[name].tolist() for name in ("a", "b", "c")], 20
    )
    assert list(labels) == estimator.predict(frame).tolist()
    assert scores == pytest.approx(
        estimator.predict_proba(frame)[:, 1].tolist(), rel=1e-5, abs=1e-6
    )
