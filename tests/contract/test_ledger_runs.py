"""The index of runs sorts and filters alike on both databases."""

from __future__ import annotations

import math
import random
import time

import pytest

from triune.core.errors import Refused
from triune.ledger.runs import Condition, Field, IndexedRun, Order
from triune.ledger.service import Ledger


def run(number: int, **metrics: float) -> IndexedRun:
    return IndexedRun(
        id=f"{number:04d}",
        name=f"run {number}",
        status="finished" if number % 2 else "failed",
        started=1_000 + number,
        finished=2_000 + number,
        model="delay",
        mlflow_id=None,
        payload={"n": number},
        metrics=metrics,
        params={"depth": str(number), "kind": "tree"},
    )


def ids(found: list[IndexedRun]) -> list[str]:
    return [one.id for one in found]


def test_a_run_comes_back_as_it_was_put(ledger: Ledger) -> None:
    one = run(1, auc=0.7, loss=-1.5, limit=math.inf)
    ledger.runs.put(one)
    assert ledger.runs.get("0001") == one
    assert ledger.runs.get("0002") is None


def test_putting_again_replaces_all_of_it(ledger: Ledger) -> None:
    ledger.runs.put(run(1, auc=0.1, old=1.0))
    newer = run(1, auc=0.9)
    ledger.runs.put(newer)
    assert ledger.runs.search(limit=None) == [newer]
    assert ledger.runs.keys(Field.METRIC) == ["auc"]


def test_not_a_number_is_left_out_of_the_index(ledger: Ledger) -> None:
    ledger.runs.put(run(1, auc=math.nan, loss=1.0))
    found = ledger.runs.get("0001")
    assert found is not None
    assert found.metrics == {"loss": 1.0}


def test_sorting_puts_runs_without_the_value_last(ledger: Ledger) -> None:
    ledger.runs.put(run(1, auc=0.5), run(2), run(3, auc=0.9), run(4, auc=-1.0))
    by_auc = Order(Field.METRIC, "auc")
    assert ids(ledger.runs.search(order=by_auc)) == ["0003", "0001", "0004", "0002"]
    rising = Order(Field.METRIC, "auc", descending=False)
    assert ids(ledger.runs.search(order=rising)) == ["0004", "0001", "0003", "0002"]
    assert ids(ledger.runs.search()) == ["0004", "0003", "0002", "0001"]
    by_depth = Order(Field.PARAM, "depth", descending=False)
    assert ids(ledger.runs.search(order=by_depth, limit=2, offset=1)) == ["0002", "0003"]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (Condition(Field.METRIC, "auc", ">", 0.2), ["0002", "0003"]),
        (Condition(Field.METRIC, "auc", ">=", "0.2"), ["0002", "0003"]),
        (Condition(Field.METRIC, "auc", "!=", 0.3), ["0001", "0002"]),
        (Condition(Field.METRIC, "none", "<", 9), []),
        (Condition(Field.PARAM, "depth", "=", "2"), ["0002"]),
        (Condition(Field.PARAM, "depth", "==", 2), ["0002"]),
        (Condition(Field.ATTRIBUTE, "status", "=", "finished"), ["0001", "0003"]),
        (Condition(Field.ATTRIBUTE, "started", "<=", 1_002), ["0001", "0002"]),
        (Condition(Field.ATTRIBUTE, "model", "=", "x' OR 1=1 --"), []),
    ],
)
def test_conditions(ledger: Ledger, condition: Condition, expected: list[str]) -> None:
    ledger.runs.put(run(1, auc=0.1), run(2, auc=0.25), run(3, auc=0.3))
    assert sorted(ids(ledger.runs.search([condition]))) == expected
    assert ledger.runs.count([condition]) == len(expected)


def test_conditions_hold_together(ledger: Ledger) -> None:
    ledger.runs.put(*(run(n, auc=n / 10) for n in range(10)))
    both = [Condition(Field.METRIC, "auc", ">", 0.3), Condition(Field.PARAM, "depth", "<", "6")]
    assert ids(ledger.runs.search(both)) == ["0005", "0004"]


@pytest.mark.parametrize(
    "condition",
    [
        Condition(Field.ATTRIBUTE, "payload; DROP TABLE runs", "=", "x"),
        Condition(Field.METRIC, "auc", "LIKE", "x"),
    ],
)
def test_an_unknown_attribute_or_operator_is_refused(ledger: Ledger, condition: Condition) -> None:
    with pytest.raises(Refused) as caught:
        ledger.runs.search([condition])
    assert caught.value.reference == "run-filter-unknown"


def test_ten_thousand_runs_are_sorted_and_filtered_in_time(ledger: Ledger) -> None:
    chance = random.Random(7)
    metrics = [f"m{n}" for n in range(8)]
    runs = [run(n, **{key: chance.random() for key in metrics}) for n in range(10_000)]
    ledger.runs.put(*runs)
    best = sorted(runs, key=lambda r: (r.metrics["m3"], r.id), reverse=True)
    condition = Condition(Field.METRIC, "m5", ">", 0.5)
    expected = [r.id for r in best if r.metrics["m5"] > 0.5][:100]
    took = []
    for _ in range(3):
        begin = time.perf_counter()
        found = ledger.runs.search([condition], order=Order(Field.METRIC, "m3"))
        took.append(time.perf_counter() - begin)
        assert ids(found) == expected
    assert min(took) < 0.2
