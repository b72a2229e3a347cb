"""Pairing a shadow's answers with the live ones, comparing them, and what is only lost."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.shadows import START_US, HandClock, append, sample
from triune.delivery.rollout.comparing import Difference, Rule, compare
from triune.delivery.rollout.shadow import (
    Pairer,
    ShadowState,
    ShadowTick,
    ShadowWatch,
    bin_of,
    edge_of,
    quantile,
)

NO_LABEL: dict[str, Any] = {"labels": None}
TEXT: dict[str, Any] = {"probabilities": None}
NUMBER: dict[str, Any] = {"labels": None, "probabilities": None}


@pytest.mark.parametrize(
    ("live", "shadow", "rule", "differ"),
    [
        ({"probabilities": (0.49,)}, {"probabilities": (0.51,)}, Rule(), True),
        ({"probabilities": (0.51,)}, {"probabilities": (0.99,)}, Rule(), False),
        ({"probabilities": (0.5,)}, {"probabilities": (0.4999,)}, Rule(), True),
        ({"probabilities": (0.1, 0.9)}, {"probabilities": (0.1, 0.2)}, Rule(), True),
        ({"probabilities": (0.6,)}, {"probabilities": (0.75,)}, Rule(threshold=0.7), True),
        ({"probabilities": (0.4,)}, {"probabilities": (0.6,)}, Rule(threshold=0.7), False),
        ({"labels": ("1",)}, {"labels": ("late",)}, Rule(), True),
        ({"labels": ("1",)}, {"labels": ("0",)}, Rule(threshold=0.7), False),
        (TEXT | {"labels": ("a", "b")}, TEXT | {"labels": ("a", "c")}, Rule(), True),
        (TEXT | {"labels": ("a", "b")}, TEXT | {"labels": ("a", "b")}, Rule(), False),
        (NUMBER | {"values": (100.0,)}, NUMBER | {"values": (100.9,)}, Rule(), False),
        (NUMBER | {"values": (100.0,)}, NUMBER | {"values": (101.1,)}, Rule(), True),
        (NUMBER | {"values": (0.0,)}, NUMBER | {"values": (0.0,)}, Rule(), False),
        (NUMBER | {"values": (100.0,)}, NUMBER | {"values": (102.0,)}, Rule(tolerance=5), False),
        (NUMBER | {"values": (1.0,)}, NUMBER | {"values": (7.0,)}, Rule(tolerance=5), True),
        ({}, NUMBER | {"values": (0.7,)}, Rule(), True),
        ({}, TEXT, Rule(), True),
        ({"probabilities": (0.7, 0.7)}, {}, Rule(), True),
    ],
)
def test_when_two_answers_are_different_ones(
    live: dict[str, Any], shadow: dict[str, Any], rule: Rule, differ: bool
) -> None:
    assert compare(sample("a", **live), sample("a", **shadow), rule).differ is differ
    assert compare(sample("a", **shadow), sample("a", **live), rule).differ is differ


def test_of_several_classes_the_label_counts_and_without_labels_the_favourite() -> None:
    one = {"probabilities": (0.4, 0.35, 0.25), "width": 3}
    other = {"probabilities": (0.9, 0.05, 0.05), "width": 3}
    third = {"probabilities": (0.3, 0.45, 0.25), "width": 3}
    for rest, differ in ((other, False), (third, True)):
        live, shadow = sample("a", **one, **NO_LABEL), sample("a", **rest, **NO_LABEL)
        assert compare(live, shadow, Rule()).differ is differ
    live, shadow = sample("a", **one), sample("a", **third)
    assert not compare(live, shadow, Rule(threshold=0.9)).differ
    shadow = sample("a", **third, labels=("2",))
    assert compare(live, shadow, Rule(threshold=0.9)).differ


def test_distances_are_of_the_numbers() -> None:
    live = sample("a", probabilities=(0.5, 0.75))
    shadow = sample("a", probabilities=(0.75, 0.75))
    assert compare(live, shadow, Rule()) == Difference(False, 0.125, 0.25)
    assert compare(sample("a", **TEXT), sample("a", **TEXT), Rule()) == Difference(False)


def test_equal_digests_are_equal_answers() -> None:
    cut = {"digest": "0011", "labels": ("1",) * 16, "probabilities": (0.7,) * 32}
    assert compare(sample("a", **cut), sample("a", **cut), Rule()) == Difference(False, 0.0)
    other = cut | {"digest": "0012"}
    assert compare(sample("a", **cut), sample("a", **other), Rule()) == Difference(False, 0.0)
    other |= {"probabilities": (0.7,) * 31 + (0.1,)}
    assert compare(sample("a", **cut), sample("a", **other), Rule()).differ


def test_what_becomes_of_each_request() -> None:
    pairer = Pairer(Rule(), patience_s=30.0)
    pairer.add_live(
        [
            sample("same"),
            sample("other", probabilities=(0.9,)),
            sample("shadow fails"),
            sample("shadow falls back"),
            sample("live fails", status=500),
            sample("live falls back", degraded="deadline"),
            sample("both refuse", status=400),
            sample("unanswered"),
            sample("unanswered failure", status=503),
        ],
        now=0.0,
    )
    pairer.add_shadow(
        [
            sample("same", duration_us=1600),
            sample("other", probabilities=(0.1,), duration_us=400),
            sample("shadow fails", status=400),
            sample("shadow falls back", degraded="error"),
            sample("live fails"),
            sample("live falls back"),
            sample("both refuse", status=400),
            sample("never live"),
        ],
        now=5.0,
    )
    tick = pairer.tick(29.0)
    assert (tick.pairs, tick.disagreements, tick.failures) == (2, 1, 2)
    assert (tick.skipped, tick.lost, tick.slower, tick.compared) == (3, 0, 1, 2)
    assert tick.distance_sum == pytest.approx(0.8)
    assert tick.distance_max == pytest.approx(0.8)
    assert tick.live_us == {bin_of(800): 2}
    assert tick.shadow_us == {bin_of(1600): 1, bin_of(400): 1}
    tick = pairer.tick(31.0)
    assert tick == ShadowTick(failures=1, skipped=1)
    assert pairer.tick(100.0) == ShadowTick()


def test_the_patience_begins_when_the_live_answer_is_read() -> None:
    pairer = Pairer(Rule(), patience_s=30.0)
    pairer.add_live([sample("a")], now=1000.0)
    assert pairer.tick(1029.0) == ShadowTick()
    pairer.add_shadow([sample("a")], now=1031.0)
    assert pairer.tick(1031.0).pairs == 1


def test_requests_from_before_a_gap_are_lost_not_failed() -> None:
    pairer = Pairer(Rule(), patience_s=30.0, since_us=START_US)
    pairer.add_live([sample("before", time_us=START_US + 700), sample("after")], now=0.0)
    tick = pairer.tick(31.0)
    assert (tick.lost, tick.failures) == (1, 1)
    pairer.add_live([sample("now before")], now=31.0)
    pairer.gap(START_US + 2_000_000)
    pairer.gap(START_US)
    tick = pairer.tick(62.0)
    assert (tick.lost, tick.failures) == (1, 0)


def test_what_waits_is_bounded_and_what_is_let_go_of_is_lost() -> None:
    pairer = Pairer(Rule(), most_waiting=10)
    pairer.add_live([sample(f"l{number}") for number in range(25)], now=0.0)
    pairer.add_shadow([sample(f"s{number}") for number in range(25)], now=0.0)
    assert pairer.tick(1.0) == ShadowTick(lost=15)
    assert len(pairer._shadow) == 10


def test_of_several_answers_to_one_request_the_first_counts() -> None:
    pairer = Pairer(Rule())
    pairer.add_live([sample("a"), sample("a", probabilities=(0.1,))], now=0.0)
    pairer.add_shadow([sample("a")], now=0.0)
    assert (tick := pairer.tick(1.0)).pairs == 1
    assert tick.disagreements == 0


def test_ticks_add_up() -> None:
    one = ShadowTick(pairs=2, compared=1, distance_sum=0.5, distance_max=0.5, live_us={3: 1})
    other = ShadowTick(pairs=1, failures=4, lost=1, distance_max=0.25, live_us={3: 2, 4: 1})
    both = one + other
    assert (both.pairs, both.failures, both.trials, both.lost) == (3, 4, 7, 1)
    assert (both.distance, both.distance_max) == (0.5, 0.5)
    assert both.live_us == {3: 3, 4: 1}
    assert math.isnan(ShadowTick().distance)


def test_bins_are_4_percent_wide_and_quantiles_are_lower_edges() -> None:
    assert bin_of(0) == bin_of(1) == 0
    for microseconds in (1, 50, 812, 1e6, 3e8):
        edge = edge_of(bin_of(microseconds))
        assert edge <= microseconds * (1 + 1e-9)
        assert microseconds < edge * 1.041
    histogram = {bin_of(1000): 98, bin_of(5000): 2}
    assert quantile(histogram, 0.5) == edge_of(bin_of(1000))
    assert quantile(histogram, 0.99) == edge_of(bin_of(5000))
    assert math.isnan(quantile({}, 0.5))


class Arms:
    """Two files of samples and a watch over them."""

    def __init__(self, folder: Path) -> None:
        self.live, self.shadow = folder / "live", folder / "shadow"
        self.clock = HandClock()
        self.watch = self.again()
        self.state = ShadowState.begin(START_US)

    def again(self) -> ShadowWatch:
        return ShadowWatch(self.live, self.shadow, Rule(), self.clock, patience_s=30.0)

    def look(self, after: float = 0.0) -> ShadowTick:
        self.clock.seconds += after
        tick, self.state = self.watch.look(self.state)
        return tick

    def crash(self) -> None:
        """Another process goes on with what was written down of the state."""
        self.state = msgspec.json.decode(msgspec.json.encode(self.state), type=ShadowState)
        self.watch = self.again()


@pytest.fixture
def arms(tmp_path: Path) -> Arms:
    return Arms(tmp_path)


def test_a_watch_reads_both_files(arms: Arms) -> None:
    assert arms.look() == ShadowTick()
    append(arms.live, *(sample(f"{n}") for n in range(10)))
    append(arms.shadow, *(sample(f"{n}", probabilities=(0.2,)) for n in range(3, 10)))
    assert arms.look(1.0).pairs == 7
    append(arms.shadow, sample("0"))
    with arms.live.open("ab") as file:
        file.write(b"torn\n")
    tick = arms.look(1.0)
    assert (tick.pairs, tick.malformed) == (1, 1)
    assert arms.look(40.0).failures == 2
    total = arms.state.total
    assert (total.pairs, total.disagreements, total.failures) == (8, 7, 2)


def test_a_crash_counts_no_pair_twice_and_no_request_under_way_as_a_failure(arms: Arms) -> None:
    append(arms.live, sample("a"), sample("live first"))
    append(arms.shadow, sample("a"), sample("shadow first"))
    arms.look(10.0)
    arms.crash()
    append(arms.live, sample("shadow first"), sample("after", time_us=START_US + 20_000_000))
    append(arms.shadow, sample("live first"))
    assert arms.look(10.0) == ShadowTick()
    tick = arms.look(31.0)
    assert (tick.pairs, tick.lost, tick.failures) == (0, 1, 1)
    assert arms.state.total.pairs == 1


def test_a_look_that_was_never_written_down_is_done_again(arms: Arms) -> None:
    append(arms.live, sample("a"))
    arms.look(1.0)
    written = arms.state
    append(arms.live, sample("b"))
    append(arms.shadow, sample("b"))
    assert arms.look(1.0).pairs == 1
    arms.state = written
    assert arms.look(1.0).pairs == 1
    assert arms.state.total.pairs == 1


def test_a_state_that_went_through_a_file_is_still_the_last_one(arms: Arms) -> None:
    append(arms.live, sample("a"))
    arms.look(1.0)
    arms.state = msgspec.json.decode(msgspec.json.encode(arms.state), type=ShadowState)
    append(arms.shadow, sample("a"))
    assert arms.look(1.0).pairs == 1


def test_what_was_there_before_the_comparison_began_does_not_count(arms: Arms) -> None:
    old = sample("old", time_us=START_US - 1)
    append(arms.live, old)
    append(arms.shadow, old)
    assert arms.look(1.0) == ShadowTick()
    assert arms.look(40.0) == ShadowTick()


def test_a_long_backlog_is_paired_though_little_may_wait(
    arms: Arms, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("triune.delivery.rollout.samples.CHUNK_BYTES", 5000)
    monkeypatch.setattr("triune.delivery.rollout.shadow.MOST_WAITING", 100)
    many = [sample(f"{n:05}") for n in range(2000)]
    append(arms.live, *many)
    append(arms.shadow, *many)
    tick = arms.look(3600.0)
    assert (tick.pairs, tick.lost, tick.failures) == (2000, 0, 0)
