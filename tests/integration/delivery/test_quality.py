"""Outcomes read from a real ledger give the same cohorts as from one in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.predictions import (
    CANDIDATE,
    CONTROL,
    ENDPOINT,
    NOON_US,
    SECOND,
    MemoryOutcomes,
    observed,
    served,
)
from triune.delivery.rollout import quality
from triune.delivery.rollout.cohorts import CohortRule
from triune.delivery.rollout.labels import QualityRule, Side
from triune.delivery.rollout.quality import QualityReader, begin
from triune.ledger.envelope import Event
from triune.ledger.service import Ledger

RULE = QualityRule(
    ENDPOINT, Side(CONTROL), Side(CANDIDATE), cohorts=CohortRule(window_s=10.0, settle_s=5.0)
)


def story(ticks: int) -> list[list[Event]]:
    """Events of each tick: predictions, and outcomes up to two ticks later, some told twice."""
    random = np.random.default_rng(5)
    told: list[list[Event]] = [[] for _ in range(ticks + 3)]
    number = 0
    for tick in range(ticks):
        for at in np.sort(random.uniform(10.0 * tick, 10.0 * tick + 10.0, 150)):
            number += 1
            made = served(number, CANDIDATE if random.random() < 0.2 else CONTROL, float(at))
            told[tick].append(made)
            for repeat in range(int(random.choice([0, 1, 1, 1, 1, 1, 1, 1, 1, 2]))):
                outcome = observed(
                    made, float(random.random() < 0.3), float(random.random()), number=repeat
                )
                told[tick + int(random.integers(0, 3))].append(outcome)
    return told


def test_a_real_ledger_and_one_in_memory_give_the_same_cohorts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quality, "MOST_REMEMBERED", 100)
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'l.db'}", tmp_path / "j", workspace="flights")
    memory = MemoryOutcomes()
    real_state, state = begin(ledger, NOON_US), begin(memory, NOON_US)
    reader = QualityReader(memory, RULE)
    real_reader = QualityReader(ledger, RULE)
    for tick, events in enumerate(story(20)):
        ledger.record(events)
        memory.tell(*events)
        now_us = NOON_US + round((tick + 1) * 10 * SECOND)
        if tick % 4 == 0:
            real_reader = QualityReader(ledger, RULE)
        real, look = real_reader.look(real_state, now_us), reader.look(state, now_us)
        assert (real.ready, real.dropped) == (look.ready, look.dropped)
        real_state, state = real.state, look.state
    assert real_state == state
    assert state.judged == 20
    assert state.a.labelled + state.b.labelled > 2000
    ledger.close()
