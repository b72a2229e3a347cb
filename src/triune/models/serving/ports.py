"""What the server needs from the outside: a model, and somebody who vouches for its bytes."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from triune.models.serving.tensors import Layout, TensorSpec, Values


class Model(Protocol):
    """A loaded model; every backend passes ``tests/contract/test_serving_models.py``.

    Classifiers give ``label`` and ``score`` (the probability of the second class), or
    ``probabilities`` when there are more than two; regressors give ``prediction``; other
    models give ``predict``.
    """

    @property
    def form(self) -> str:
        """Which backend answers: ``onnx``, ``sklearn`` or ``pyfunc``."""
        ...

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What it takes, in the order `predict` wants it."""
        ...

    @property
    def layout(self) -> Layout:
        """One input per column, or one tensor."""
        ...

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """What it gives, in the order `predict` returns it. A width of 0 is not known
        before the first answer."""
        ...

    @property
    def largest(self) -> float:
        """The largest magnitude of a float it computes with; larger ones are refused."""
        ...

    @property
    def main_output(self) -> str:
        """The output that MLflow's own server would answer with."""
        ...

    def predict(self, inputs: Sequence[Values], rows: int) -> list[Values]:
        """Answers for ``rows`` rows: one flat list per output.

        ``inputs[i]`` has ``rows * self.inputs[i].width`` values of its datatype, checked
        already. Raises whatever the model raises; safe to call from any one thread at a time.
        """
        ...


Found = Mapping[str, list[Any]]
"""For each input that is looked up a value for each row; None where there is none."""


class Lookup(Protocol):
    """Looks features up by entity, in one round trip for all rows."""

    def __call__(self, entities: Mapping[str, Sequence[Any]], rows: int) -> Awaitable[Found | None]:
        """The features of each row's entity (join key -> values); None when the store is away or
        too slow. Raises nothing."""
        ...


class Verifier(Protocol):
    """Checks a model folder's signature."""

    def __call__(self, folder: Path, public_key: Path, signature: Path) -> None:
        """Return when ``signature`` by ``public_key`` covers every file of ``folder``.

        Raises `Refused` (``model-unsigned``, ``model-tampered``).
        """
        ...
