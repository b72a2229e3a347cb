"""Whatever is told when, and wherever a reader dies: cohorts are counted right, each once."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.predictions import (
    CANDIDATE,
    CONTROL,
    NOON_US,
    SECOND,
    MemoryOutcomes,
    observed,
    served,
)
from triune.delivery.rollout.cohorts import CohortRule
from triune.delivery.rollout.coverage import Cohort, Count, matches
from triune.delivery.rollout.labels import QualityRule, Side, label_of
from triune.delivery.rollout.quality import QualityLook, QualityReader, QualityState, begin
from triune.ledger.envelope import Event

COHORTS = CohortRule(
    window_s=10.0, settle_s=5.0, patience_s=60.0, widest_s=30.0, most_open=5, min_coverage=0.6
)
RULE = QualityRule("flights/delay", Side(CONTROL), Side(CANDIDATE), cohorts=COHORTS)


@dataclass(frozen=True)
class Turn:
    """What happens until a look: predictions, which of all so far get an outcome, a crash; and
    after it: the candidate's weight changes, in so many seconds."""

    seconds: float
    served: list[tuple[bool, float]]
    labels: list[tuple[int, float, float | None]]
    early: list[int]
    crash: bool
    change: float | None


turns = st.lists(
    st.builds(
        Turn,
        seconds=st.floats(0.5, 25.0),
        served=st.lists(st.tuples(st.booleans(), st.floats(0.0, 20.0)), max_size=6),
        labels=st.lists(
            st.tuples(
                st.integers(0, 60),
                st.sampled_from([0.0, 1.0]),
                st.sampled_from([0.0, 0.25, 1.0, 1.0, None]),
            ),
            max_size=8,
        ),
        early=st.lists(st.integers(0, 5), max_size=2),
        crash=st.booleans(),
        change=st.none() | st.floats(0.0, 40.0),
    ),
    max_size=12,
)


@dataclass
class Story:
    """A ledger that fills turn by turn."""

    log: MemoryOutcomes = field(default_factory=MemoryOutcomes)
    made: list[Event] = field(default_factory=list)
    now: float = 0.0
    told: int = 0

    def go_on(self, turn: Turn) -> None:
        self.now += turn.seconds
        fresh = [
            served(
                len(self.made) + place,
                CANDIDATE if candidate else CONTROL,
                max(0.0, self.now - ago),
            )
            for place, (candidate, ago) in enumerate(turn.served)
        ]
        for place in turn.early:
            if place < len(fresh):
                self._outcome(fresh[place], 1.0, 0.0)
        self.log.tell(*fresh)
        self.made += fresh
        for place, value, predicted in turn.labels:
            if self.made:
                self._outcome(self.made[-1 - place % len(self.made)], value, predicted)

    def _outcome(self, prediction: Event, value: float, predicted: float | None) -> None:
        self.told += 1
        self.log.tell(observed(prediction, value, predicted, number=self.told))


def us(seconds: float) -> int:
    return NOON_US + round(seconds * SECOND)


def told(turns: list[Turn], *, crashes: bool) -> list[QualityLook]:
    """Every look of a story."""
    story, looks = Story(), []
    state = begin(story.log, NOON_US)
    reader = QualityReader(story.log, RULE)
    done = 0.0
    for turn in turns:
        story.go_on(turn)
        if done <= story.now:
            state = state.change_done(us(done))
        if turn.crash and crashes:
            state = msgspec.json.decode(msgspec.json.encode(state), type=QualityState)
            reader = QualityReader(story.log, RULE)
        looks.append(reader.look(state, us(story.now)))
        state = looks[-1].state
        if turn.change is not None and not state.changing:
            done = story.now + 0.001 + turn.change
            state = state.change_begun(us(story.now + 0.001))
    return looks


def by_hand(log: MemoryOutcomes, cohort: Cohort, top: int) -> tuple[Count, Count]:
    """A cohort's counts from the whole log up to a place."""
    counts = Count(), Count()
    for stored in log.log[:top]:
        event = stored.event
        if event.kind != "prediction.served" or not cohort.start_us <= event.time < cohort.end_us:
            continue
        count = counts[event.payload["release"] == CANDIDATE]
        count.served += 1
        outcomes = (
            label_of(s.event.payload, RULE)
            for s in log.log[:top]
            if s.event.kind == "outcome.observed" and s.event.subject == event.subject
        )
        usable = [label for label in outcomes if label is not None]
        if usable:
            count.labelled += 1
            count.wrong += usable[-1].wrong
            count.squares += usable[-1].square
    return counts


@settings(max_examples=200)
@given(turns)
def test_a_crash_at_any_look_changes_nothing(turns: list[Turn]) -> None:
    assert told(turns, crashes=True) == told(turns, crashes=False)


def _asked(seconds: float, *served: tuple[bool, float]) -> Turn:
    return Turn(seconds, list(served), labels=[], early=[], crash=False, change=None)


JUDGED_BETWEEN_TWO_THAT_ARE_JOINED = [
    _asked(39.0, (False, 0.0), (True, 0.0)),
    _asked(11.0, (False, 1.0), (True, 0.0), (True, 1.0)),
    Turn(
        19.0,
        [(False, 10.0), (True, 0.0), (False, 0.0)],
        labels=[(0, 0.0, 0.0)], early=[1], crash=False, change=None,
    ),
    _asked(21.0, (False, 0.0), (False, 1.0), (False, 11.0), (True, 11.0)),
]  # fmt: skip


@settings(max_examples=200)
@given(turns)
@example(JUDGED_BETWEEN_TWO_THAT_ARE_JOINED)
def test_ready_cohorts_hold_what_the_log_says_and_never_overlap(turns: list[Turn]) -> None:
    story = Story()
    done: list[Cohort] = []
    for turn, look in zip(turns, told(turns, crashes=True), strict=True):
        story.go_on(turn)
        for cohort in look.ready:
            a, b = by_hand(story.log, cohort, look.state.after)
            assert (cohort.a, cohort.b) == (a, b)
            assert min(a.coverage, b.coverage) >= COHORTS.min_coverage
            assert matches(cohort, COHORTS.tolerance)
        done += [*look.ready, *(gone.cohort for gone in look.dropped)]
        waiting = list(look.state.shelf.waiting)
        assert len(waiting) <= COHORTS.most_open
        everything = sorted([*done, *waiting], key=lambda cohort: cohort.start_us)
        assert all(one.end_us <= other.start_us for one, other in pairwise(everything))
        changes = look.state.shelf.changes
        assert not any(c.within(k.start_us, k.end_us) for c in changes for k in everything)
        served_all = sum(c.a.served + c.b.served for c in everything)
        assert served_all <= len(story.made)
        assert all(c.labelled <= c.served for k in everything for c in (k.a, k.b))
