"""At an endpoint, what came of a prediction is the test's only if it was made in the test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.abtest_facts import NOW, SECOND, START, MemoryLog
from triune.core.ids import new_id
from triune.delivery.abtest.backends.duckdb import apart, recomputed
from triune.delivery.abtest.backends.sqlite import SumsFile
from triune.delivery.abtest.declaring import of_versions
from triune.delivery.abtest.facts import Period, Reader
from triune.delivery.abtest.stream import Stream
from triune.ledger.envelope import Event

ENDPOINT = "shop/late"
SINCE = START + 20 * SECOND
READER = Reader(
    of_versions(ENDPOINT, 1, 2, outcome="late"), "run-1", {"release:1": "a", "release:2": "b"}
)


def made(second: float, number: int) -> str:
    """The id of a prediction made so many seconds after the start."""
    milliseconds = (START + round(second * SECOND)) // 1000
    digits = f"{milliseconds:012x}7000{0x8000000000000000 + number:016x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def served(identifier: str, unit: str, release: str, second: float) -> Event:
    payload = {"endpoint": ENDPOINT, "unit": unit, "release": release, "duration_ms": 3.0}
    return told("prediction.served", identifier, second, payload)


def observed(identifier: str, unit: str, predicted: float, second: float) -> Event:
    payload = {"endpoint": ENDPOINT, "unit": unit, "name": "late", "value": 1.0}
    return told("outcome.observed", identifier, second, payload | {"predicted": predicted})


def told(kind: str, identifier: str, second: float, payload: dict[str, Any]) -> Event:
    return Event(
        id=new_id(),
        time=START + round(second * SECOND),
        kind=kind,
        subject=f"prediction:{identifier}",
        actor="service:test",
        workspace="shop",
        payload=payload,
    )


def life(unit: str, release: str, number: int) -> list[Event]:
    """One prediction before the test, one in it by the test's release, one after it: each with
    its outcome, which comes later."""
    before, inside, after = (made(second, number) for second in (5, 30, 90))
    return [
        served(before, unit, "release:0", 5),
        served(inside, unit, release, 30),
        observed(before, unit, 0.0, 32),
        observed(inside, unit, 0.5, 40),
        served(after, unit, "release:3", 90),
        observed(after, unit, 0.0, 95),
    ]


@pytest.mark.parametrize(
    "known", [True, False], ids=["its end known", "its end not known at first"]
)
def test_outcomes_of_other_predictions_do_not_count(tmp_path: Path, known: bool) -> None:
    log = MemoryLog()
    log.record([*life("u1", "release:1", 1), *life("u2", "release:2", 2)])
    sums = SumsFile(tmp_path / "sums.db", "run-1")
    if not known:  # read while the test went on: what came of the prediction after it is in
        Stream(log, READER, Period(SINCE), sums).catch_up(NOW)
    period = Period(SINCE, START + 70 * SECOND)
    stream = Stream(log, READER, period, sums)
    stream.catch_up(NOW)
    log.record([*life("u3", "release:2", 3)])
    stream.catch_up(NOW)
    tally, position = stream.look()
    cells = {(key.metric, key.variant): cell for key, cell in tally.cells.items()}
    found = {v: cells["squared-error", v].summary() for v in ("a", "b")}
    assert {v: (one.n, list(one.mean)) for v, one in found.items()} == {
        "a": (1, [0.25, 1.0]),
        "b": (2, [0.25, 1.0]),
    }
    assert tally.counts["joined"] == 3
    assert tally.counts["early"] == tally.counts["waiting"] == 0
    exact = recomputed(log, READER, period, NOW, upto=position.mark)
    assert apart(tally, exact) <= 1e-9
    sums.close()


def test_an_outcome_that_is_no_predictions_joins_by_unit(tmp_path: Path) -> None:
    log = MemoryLog()
    log.record([served(made(30, 1), "u1", "release:1", 30), observed("mine", "u1", 0.5, 40)])
    sums = SumsFile(tmp_path / "sums.db", "run-1")
    stream = Stream(log, READER, Period(SINCE, START + 70 * SECOND), sums)
    stream.catch_up(NOW)
    assert stream.look()[0].counts["joined"] == 1
    sums.close()
