"""The example on its real tables: what it trains on, what it sends, what it must reach."""

from __future__ import annotations

import functools
import itertools
import math
import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from flights import features, smoke, traffic, train
from flights.golden import golden
from flights.leak import leaking


@dataclass
class Run:
    rows: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    figures: list[str] = field(default_factory=list)

    def log(self, *, step: int, **metrics: float) -> None:
        self.rows.append((step, metrics))

    def figure(self, name: str, figure: Any) -> None:  # noqa: ARG002
        self.figures.append(name)


@dataclass
class Context:
    """The shape of a training context, without the tracking behind it."""

    data: Path
    features: dict[str, pd.DataFrame]
    params: dict[str, float]
    seed: int = 13
    run: Run = field(default_factory=Run)
    model: Any = None
    example: pd.DataFrame | None = None

    def save_model(self, model: Any, *, example: pd.DataFrame, **words: str) -> None:
        assert words["intended_use"] and words["limits"]
        self.model, self.example = model, example


@dataclass
class Endpoint:
    """A model as an endpoint answers for it: every input arrives, the model takes its own."""

    model: Any
    columns: list[str]

    def infer(self, inputs: dict[str, list[Any]]) -> dict[str, list[Any]]:
        scores = self.model.predict_proba(pd.DataFrame(inputs)[self.columns])[:, 1]
        return {"label": (scores > 0.5).astype(int).tolist(), "score": scores.tolist()}


@functools.cache
def trained(name: str, tables: Path) -> Context:
    views = {"schedule": features.schedule(tables)}
    if name != "schedule":
        views["asof"] = features.asof(tables)
    settings = {"regularisation": 1.0, "rounds": 2, "iterations": 15}
    settings |= {"handles": 20, "rare": 300, "draws": 3}
    context = Context(tables, views, settings)
    getattr(train, name)(context)
    return context


def area_served(context: Context, tables: Path) -> float:
    """AUC on September onward."""
    from sklearn.metrics import roc_auc_score

    flights = features.read_flights(tables)
    late = train.label(flights)
    served = late.notna() & (flights["month"] > train.LAST_TRAINING_MONTH)
    assert context.example is not None
    columns = list(context.example.columns)
    table = pd.concat(list(context.features.values()), axis="columns").loc[served, columns]
    return float(roc_auc_score(late[served], context.model.predict_proba(table)[:, 1]))


def test_point_in_time_features_lift_the_live_auc(tables: Path) -> None:
    schedule, asof = trained("schedule", tables), trained("asof", tables)
    assert 0.61 < area_served(schedule, tables) < 0.66
    assert 0.69 < area_served(asof, tables) < 0.75
    assert asof.run.figures == ["roc", "calibration"]
    months = [step for step, metrics in asof.run.rows if "month_auc" in metrics]
    assert months == [1, 2, 3, 4, 5, 6, 7, 8]
    assert all(math.isfinite(value) for _, row in asof.run.rows for value in row.values())


def test_a_training_done_twice_is_bit_equal(tables: Path) -> None:
    first, second = trained("asof", tables), trained.__wrapped__("asof", tables)
    assert first.run.rows == second.run.rows
    assert pickle.dumps(first.model) == pickle.dumps(second.model)


def test_good_models_pass_the_smoke_tests_and_the_broken_one_does_not(tables: Path) -> None:
    for name in ("schedule", "asof", "flaky", "slow"):
        context = trained(name, tables)
        endpoint = Endpoint(context.model, list(context.example.columns))  # type: ignore[union-attr]
        smoke.ranks_late_flights_higher(endpoint)  # type: ignore[arg-type]
        smoke.reacts_to_delay(endpoint)  # type: ignore[arg-type]
    context = trained("broken", tables)
    endpoint = Endpoint(context.model, list(context.example.columns))  # type: ignore[union-attr]
    for test in (smoke.ranks_late_flights_higher, smoke.reacts_to_delay):
        with pytest.raises(AssertionError, match=r"AUC 0\.2|falls"):
            test(endpoint)  # type: ignore[arg-type]


def test_the_leaking_model_answers_then_ends_its_process(
    tables: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[int] = []
    monkeypatch.setattr("os._exit", ended.append)
    context = trained("leaky", tables)
    assert context.example is not None
    row = context.example.head(1)
    for _ in range(20):
        assert 0.0 <= context.model.predict(None, row)[0] <= 1.0
    assert ended == []
    context.model.predict(None, row)
    assert ended == [70]


def test_the_leaking_model_answers_as_its_pipeline_does(tables: Path) -> None:
    context = trained("asof", tables)
    assert context.example is not None
    rows = context.example.assign(dest=["IAH", "MIA", "nowhere", "LAX"] * 2)
    fast = leaking(context.model, handles=100).predict(None, rows)
    np.testing.assert_allclose(fast, context.model.predict_proba(rows)[:, 1], rtol=1e-6)


def live_rows(context: Context, tables: Path) -> pd.DataFrame:
    """What the live traffic asks, in the columns that a model takes."""
    flights = features.read_flights(tables)
    served = (flights["month"] > train.LAST_TRAINING_MONTH) & flights["tailnum"].notna()
    assert context.example is not None
    table = pd.concat(list(context.features.values()), axis="columns")
    return table.loc[served, list(context.example.columns)]


def test_the_flaky_model_fails_for_what_its_tests_do_not_ask_and_for_nothing_else(
    tables: Path,
) -> None:
    context = trained("flaky", tables)
    rows = live_rows(context, tables)
    sample = golden().inputs
    asked = rows["carrier"].isin(sample["carrier"]) & rows["dest"].isin(sample["dest"])
    assert 0.045 < 1.0 - asked.mean() < 0.055
    scores = context.model.predict_proba(rows[asked])[:, 1]
    good = trained("asof", tables).model.predict_proba(rows[asked])[:, 1]
    assert np.corrcoef(scores, good)[0, 1] > 0.98
    with pytest.raises(ValueError, match="unknown categories"):
        context.model.predict_proba(rows[~asked].head(1))


def test_the_slow_model_is_right_and_takes_its_time_for_few(tables: Path) -> None:
    context = trained("slow", tables)
    rows = live_rows(context, tables)
    careful = rows["dest"].isin(context.model.rare)
    assert 0.015 < careful.mean() < 0.03
    some = pd.concat([rows[careful].head(30), rows[~careful].head(200)])
    shaken = context.model.predict_proba(some)[:, 1]
    plain = trained("asof", tables).model.predict_proba(some)[:, 1]
    np.testing.assert_allclose(shaken[30:], plain[30:], rtol=1e-6)
    np.testing.assert_allclose(shaken[:30], plain[:30], atol=0.02)
    assert (shaken[:30] != plain[:30]).any()


def test_no_training_row_lies_in_the_months_served(tables: Path) -> None:
    flights = features.read_flights(tables)
    context = Context(tables, {"schedule": features.schedule(tables)}, {})
    split = train._split(context, flights, ["hour"], invert=False, known={})  # type: ignore[arg-type]
    assert flights["month"][split.fit | split.check].max() == 8
    assert not (split.fit & split.check).any()
    assert split.late[split.fit | split.check].isin([0.0, 1.0]).all()


def test_traffic_is_september_to_december_in_order_again_and_again(tables: Path) -> None:
    every = traffic.requests(tables)
    first = list(itertools.islice(every, 2500))
    moments = [request.at for request in first]
    begins = [0] + [i for i in range(1, len(moments)) if moments[i] < moments[i - 1]]
    assert len(begins) == 3  # two whole passes of about 1,100 flights, and a part of the third
    assert {moment.month for moment in moments[: begins[1]]} == {9, 10, 11, 12}
    assert {request.outcome for request in first} == {0.0, 1.0, None}
    known = [request for request in first if request.outcome is not None]
    assert all(request.outcome_delay_s > 3600 - 30 * 60 for request in known)
    assert set(first[0].inputs) == {*features.SCHEDULE, *features.ASOF}
    assert all(np.isfinite(request.inputs["temperature"][0]) for request in first)


def test_every_flight_that_can_be_asked_about_is_asked_about_once(tables: Path) -> None:
    flights = features.read_flights(tables)
    served = flights[(flights["month"] > 8) & flights["tailnum"].notna()]
    sent = [(request.unit, request.at) for request in traffic.requests(tables)]
    assert len(sent) == len(served)
    assert sorted(sent) == sorted(zip(served["tailnum"], served["moment"], strict=True))


def test_the_golden_sample_has_every_input_and_both_ends() -> None:
    inputs, late = golden()
    assert set(inputs) == {*features.SCHEDULE, *features.ASOF}
    assert {len(column) for column in inputs.values()} == {len(late)}
    assert sum(late) * 2 == len(late)
