"""The stream's sums, event by event."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.abtest_facts import (
    NOW,
    SECOND,
    SEGMENTED,
    START,
    MemoryLog,
    reader,
    saw,
    stream,
    told,
)
from triune.delivery.abtest.backends.duckdb import apart, recomputed
from triune.delivery.abtest.cell import CellKey
from triune.delivery.abtest.facts import Period
from triune.delivery.abtest.stream import Stream
from triune.ledger.envelope import Event


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog()


def mean(tally: object, metric: str, variant: str) -> tuple[int, float]:
    cell = tally.cells[CellKey(metric, variant)]  # type: ignore[attr-defined]
    return cell.n, float(cell.summary().mean[0])


def test_an_exposure_and_its_outcomes_become_rows(log: MemoryLog, tmp_path: Path) -> None:
    log.record([saw("u", "new", 0), told("u", "order", 30, 10), told("u", "order", 200, 60)])
    stream(log, tmp_path).catch_up(NOW)
    tally, position = stream(log, tmp_path).look()
    assert position.mark == 3
    assert tally.exposed == {"old": 0, "new": 1}
    assert mean(tally, "bought", "new") == (1, 1.0)
    assert mean(tally, "revenue", "new") == (1, 120.0)  # winsorised
    assert tally.cells[CellKey("basket", "new")].summary().mean.tolist() == [230.0, 2.0]
    assert mean(tally, "stars", "new") == (0, 0.0)
    assert mean(tally, "visits", "new") == (1, 1.0)


def test_a_late_or_corrected_outcome_changes_its_row(log: MemoryLog, tmp_path: Path) -> None:
    found = stream(log, tmp_path)
    log.record([saw("u", "new", 0), told("u", "rating", 2, 10, "r1")])
    found.catch_up(NOW)
    assert mean(found.look()[0], "stars", "new") == (1, 2.0)
    log.record([told("u", "rating", 5, 10, "r1")])
    found.catch_up(NOW)
    assert mean(found.look()[0], "stars", "new") == (1, 5.0)
    log.record([told("u", "rating", 3, 20), told("u", "rating", 9, 5)])
    found.catch_up(NOW)
    tally = found.look()[0]
    assert mean(tally, "stars", "new") == (1, 3.0)  # the last by its own time
    assert tally.counts["joined"] == 3


def test_a_unit_that_hops_is_left_out_and_counted(log: MemoryLog, tmp_path: Path) -> None:
    found = stream(log, tmp_path)
    log.record([saw("u", "new", 5), told("u", "order", 3, 6), saw("v", "old", 5)])
    found.catch_up(NOW)
    log.record([saw("u", "old", 3), saw("v", "old", 9)])
    found.catch_up(NOW)
    tally = found.look()[0]
    assert tally.counts["hopped"] == 1
    assert tally.counts["repeated"] == 2
    assert tally.exposed == {"old": 2, "new": 0}
    assert mean(tally, "bought", "new") == (0, 0.0)
    assert mean(tally, "bought", "old") == (1, 0.0)


def test_outcomes_before_past_and_without_their_exposure(log: MemoryLog, tmp_path: Path) -> None:
    found = stream(log, tmp_path)
    log.record(
        [
            told("u", "order", 1, 40),
            saw("u", "new", 50),
            told("u", "order", 1, 200),
            told("w", "order", 1, 60),
            told("", "order", 1, 60),
        ]
    )
    found.catch_up(NOW)
    tally, position = found.look()
    assert (tally.counts["early"], tally.counts["outside"], tally.counts["waiting"]) == (1, 1, 1)
    assert position.odd == {"without-unit": 1}
    log.record([saw("w", "old", 55), saw("u", "new", 35)])  # they come late, and were earlier
    found.catch_up(NOW)
    tally = found.look()[0]
    assert (tally.counts["early"], tally.counts["outside"], tally.counts["waiting"]) == (0, 1, 0)
    assert mean(tally, "bought", "old") == (1, 1.0)
    assert mean(tally, "bought", "new") == (1, 1.0)


def test_what_is_dated_in_the_future_waits(log: MemoryLog, tmp_path: Path) -> None:
    found = stream(log, tmp_path)
    log.record([saw("u", "new", 100), told("u", "order", 1, 110), saw("v", "old", 1)])
    found.catch_up(START + 50 * SECOND)
    tally, position = found.look()
    assert (position.future, position.future_until) == (2, START + 110 * SECOND)
    assert tally.exposed == {"old": 1, "new": 0}
    found.catch_up(START + 105 * SECOND)
    assert found.look()[0].exposed == {"old": 1, "new": 1}
    found.catch_up(START + 110 * SECOND)
    tally, position = found.look()
    assert position.future == 0
    assert mean(tally, "bought", "new") == (1, 1.0)


def test_exposures_outside_the_period_do_not_count(log: MemoryLog, tmp_path: Path) -> None:
    log.record([saw("a", "new", -1), saw("b", "new", 1), saw("c", "new", 30)])
    stream(log, tmp_path).catch_up(NOW)
    assert stream(log, tmp_path).look()[0].exposed["new"] == 2
    ended = stream(log, tmp_path, until=START + 30 * SECOND)
    ended.catch_up(NOW)
    assert ended.look()[0].exposed["new"] == 1  # its end was not known before


def test_another_runs_and_unknown_variants_exposures(log: MemoryLog, tmp_path: Path) -> None:
    log.record([saw("a", "new", 1, run="run-0"), saw("a", "blue", 1), saw("", "new", 1)])
    found = stream(log, tmp_path)
    found.catch_up(NOW)
    tally, position = found.look()
    assert tally.counts["units"] == 0
    assert position.odd == {"anonymous": 1, "unknown-variant": 1}


def test_small_steps_come_to_the_same(log: MemoryLog, tmp_path: Path) -> None:
    events: list[Event] = []
    for n in range(40):
        events += [saw(f"u{n % 7}", "new" if n % 7 > 3 else "old", n)]
        events += [
            told(f"u{n % 9}", "order", n, n, f"k{n % 11}"),
            told(f"u{n % 8}", "rating", n, n),
        ]
    log.record(events)
    (tmp_path / "one").mkdir()
    (tmp_path / "many").mkdir()
    whole, parts = stream(log, tmp_path / "one"), stream(log, tmp_path / "many")
    whole.catch_up(NOW)
    while parts.step(NOW, log.last_sequence(), 3) == 3:
        pass
    assert parts.look() == whole.look()


def test_values_from_before_the_first_exposure(log: MemoryLog, tmp_path: Path) -> None:
    from dataclasses import replace

    from tests.support.abtest_facts import DECLARED, METRICS

    asked: list[dict[str, int]] = []

    def before(units: dict[str, int], names: object) -> dict[str, tuple[float, ...]]:
        asked.append(dict(units))
        return {unit: (at / SECOND,) for unit, at in units.items()}

    adjusted = replace(METRICS[1], covariate="spending:last")
    declared = replace(DECLARED, metrics=(METRICS[0], adjusted))
    found = stream(log, tmp_path, declaration=declared, before=before)
    log.record([saw("u", "new", 9), saw("u", "new", 12), told("u", "order", 7, 20)])
    found.catch_up(NOW)
    log.record([saw("u", "new", 4)])
    found.catch_up(NOW)
    summary = found.look()[0].cells[CellKey("revenue", "new")].summary()
    assert summary.mean.tolist() == [7.0, 5.0]
    assert asked == [{"u": START + 9 * SECOND}, {"u": START + 4 * SECOND}]


def test_units_are_in_the_segments_of_their_first_exposure(log: MemoryLog, tmp_path: Path) -> None:
    log.record([saw("u", "new", 5, country="fr", new=True), told("u", "order", 30, 10)])
    found = stream(log, tmp_path, declaration=SEGMENTED)
    found.catch_up(NOW)
    assert _in_segments(found) == {"": 1, "country=fr": 1, "new=true": 1}
    log.record([saw("u", "new", 2, country="de"), saw("v", "new", 3, country=None)])
    found.catch_up(NOW)
    assert _in_segments(found) == {"": 2, "country=de": 1, "country=other": 1, "new=other": 2}
    exact = recomputed(log, reader(SEGMENTED), Period(START), NOW)
    assert apart(found.look()[0], exact) < 1e-9


def _in_segments(found: Stream) -> dict[str, int]:
    cells = found.look()[0].cells.items()
    return {k.segment: c.n for k, c in cells if (k.metric, k.variant) == ("bought", "new") and c.n}
