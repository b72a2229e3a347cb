"""A model that is right and quick, but for a few requests that take it very long."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin

from flights.weights import Scores, scorer, weights_of

SPREAD = 0.02


class Detouring(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A fitted pipeline that is careful about rare destinations.

    For those it shakes the flight's distance a little, ``draws`` times, and answers with the
    mean score, one draw after another: right to a hair, and many times slower. The median does
    not show it; the 99th percentile does as soon as more than 1 % of the requests are such.
    """

    def __init__(self, model: Any, rare: Collection[str], draws: int, seed: int) -> None:
        self.model = model
        self.rare = rare
        self.draws = draws
        self.seed = seed
        self.classes_ = np.array([0, 1])
        self.feature_names_in_ = model.feature_names_in_
        self._score = scorer(weights_of(model))
        self._careful = frozenset(rare)
        shaken = 1.0 + SPREAD * np.random.default_rng(seed).standard_normal(draws)
        self._factors = shaken.tolist()

    def predict(self, table: pd.DataFrame) -> Any:
        """1 where the flight is more likely late than not."""
        return (self._scores(table) > 0.5).astype("int64")

    def predict_proba(self, table: pd.DataFrame) -> Any:
        """Two columns: the chance of being on time, and of being late."""
        late = self._scores(table)
        return np.column_stack([1.0 - late, late])

    def _scores(self, table: pd.DataFrame) -> Scores:
        scores = self._score(table)
        for place, destination in enumerate(table["dest"].tolist()):
            if destination in self._careful:
                row = table.iloc[[place]]
                draws = (row.assign(distance=row["distance"] * f) for f in self._factors)
                scores[place] = np.mean([self._score(draw)[0] for draw in draws])
        return scores
