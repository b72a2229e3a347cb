"""Past rollouts, folded from the events that tell of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.support.events import START, made
from tests.support.rollout_views import ENDPOINT, RELEASE, STABLE, Log, looks
from triune.cli.rollout_history import UNDER_WAY, explained, past, told
from triune.ledger.envelope import Event
from triune.ledger.ports import Query, Stored

ROLLOUT = "0192aaaa-0000-7000-8000-000000000001"


def happened(
    kind: str, second: int, *, rollout: str = ROLLOUT, actor: str = "user:ada", **payload: Any
) -> Event:
    known: Mapping[str, Any] = {"endpoint": ENDPOINT, "rollout": rollout, **payload}
    return made(f"rollout.{kind}", RELEASE, payload=known, second=second, actor=actor)


STARTED = happened("started", 0, previous=STABLE, strategy="canary")
CONTROLLER = "service:controller"


def test_one_that_has_only_begun_is_under_way() -> None:
    (one,) = told([STARTED])
    assert (one.outcome, one.ended, one.looks) == (UNDER_WAY, None, None)
    assert (one.release, one.previous, one.strategy) == (RELEASE, STABLE, "canary")
    assert (one.started, one.actor) == (START, "user:ada")


def test_a_rollback_has_its_reason_and_who_decided() -> None:
    reason = "the candidate makes errors worse (e-value 163)"
    (one,) = told(
        [
            STARTED,
            happened("rolled-back", 60, actor=CONTROLLER, reason=reason, to=STABLE),
            happened("finished", 61, outcome="rolled-back", looks=53, exposed=2902),
        ]
    )
    assert (one.outcome, one.why, one.ended_by) == ("rolled-back", reason, CONTROLLER)
    assert (one.looks, one.exposed, one.ended) == (53, 2902, START + 60_000_000)


def test_a_promotion_has_the_reason_of_its_last_look() -> None:
    (one,) = told([STARTED, happened("switched", 600, actor=CONTROLLER)])
    assert (one.why, one.ended_by) == ("", CONTROLLER)
    asked: list[Query] = []

    def select(query: Query) -> Iterator[Stored]:
        asked.append(query)
        yield Stored(1, looks()[41])

    assert explained(select, one).why == "no metric shows harm after 300 requests in 300 s"
    assert (asked[0].until, asked[0].newest_first, asked[0].limit) == (one.ended, True, 1)
    another = replace(one, rollout="another")
    assert explained(select, another) == another


def test_a_reason_that_is_known_is_not_looked_for() -> None:
    (one,) = told([STARTED, happened("refused", 5, test="latency", words="p99 is 81 ms")])
    assert explained(Log([]).select, one) == one


def test_a_refusal_names_its_test() -> None:
    (one,) = told([STARTED, happened("refused", 5, test="latency", words="p99 is 81 ms")])
    assert (one.outcome, one.why) == ("refused", "latency: p99 is 81 ms")


def test_an_abort_before_traffic_is_a_refusal_in_the_persons_words() -> None:
    (one,) = told([STARTED, happened("refused", 5, test="aborted", words="wrong release")])
    assert (one.outcome, one.why) == ("refused", "wrong release")


def test_a_promotion_that_a_person_asked_for_says_so() -> None:
    (one,) = told(
        [
            STARTED,
            happened("gated", 30, actor="user:bob", gate="promote", reason="it is urgent"),
            happened("switched", 31, actor=CONTROLLER, previous=STABLE),
        ]
    )
    assert (one.outcome, one.ended_by, one.why) == ("promoted", "user:bob", "it is urgent")


def test_a_pause_decides_nothing() -> None:
    (one,) = told([STARTED, happened("gated", 30, gate="pause", reason="lunch")])
    assert (one.outcome, one.why) == (UNDER_WAY, "")


def test_one_that_was_promoted_and_gone_back_from_is_rolled_back() -> None:
    (one,) = told(
        [STARTED, happened("switched", 30), happened("rolled-back", 90, reason="scores look wrong")]
    )
    assert (one.outcome, one.why) == ("rolled-back", "scores look wrong")


def test_a_shadow_was_compared_not_rolled_back() -> None:
    shadow = happened("rolled-back", 30, outcome="compared", reason="9 of 812 answers differ")
    (one,) = told([STARTED, shadow])
    assert (one.outcome, one.why) == ("compared", "9 of 812 answers differ")


def test_one_that_never_began_is_known_by_its_end() -> None:
    (one,) = told([STARTED, happened("finished", 9, outcome="never-begun", looks=0, exposed=0)])
    assert (one.outcome, one.looks) == ("never-begun", 0)


def test_events_of_a_rollout_whose_beginning_is_not_known_are_passed_over() -> None:
    assert told([happened("switched", 30)]) == []


@pytest.mark.parametrize(("endpoint", "count"), [(None, 3), (ENDPOINT, 2), ("other", 1)])
def test_the_newest_comes_first_and_an_endpoint_can_be_chosen(
    endpoint: str | None, count: int
) -> None:
    log = Log(
        [
            STARTED,
            happened("started", 10, rollout="second", strategy="shadow"),
            happened("started", 20, rollout="third", endpoint="other", strategy="blue-green"),
        ]
    )
    found = past(log.select, endpoint)
    assert len(found) == count
    assert found == sorted(found, key=lambda one: one.started, reverse=True)
