"""An arm that is left answers what it was asked, whatever happens at other endpoints meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.delivery import ENDPOINT, Stage
from tests.support.rollouts import Traffic, conductor, in_canary, rolling
from triune.core.config import slug
from triune.core.waiting import wait_until
from triune.delivery.rollout.model import Wish
from triune.delivery.state import EndpointState, Phase

pytestmark = pytest.mark.engine

OTHER = "flights"
WISH = Wish("user:ada", "customers call", 0.0)


class Died(Exception):
    """Whoever drove the rollout is gone."""


@contextmanager
def leaving(stage: Stage, endpoint: str) -> Iterator[Future[EndpointState]]:
    """An endpoint whose old arm is being stopped but has a request to answer yet."""
    slow = stage.release("delay@8", "sleeps-2500", endpoint=endpoint)
    old = stage.delivery.start(endpoint, slow).state.live
    assert old is not None
    path = f"/{endpoint}/v2/models/{slug(endpoint)}/infer"
    with ThreadPoolExecutor(2) as pool:
        answer = pool.submit(stage.call, path, x_triune_unit="ada")
        wait_until(lambda: stage.gateway.in_flight(old.upstream) == 1, timeout=10, what="asked")
        stage.delivery.start(endpoint, stage.release("delay@9", endpoint=endpoint))
        left = pool.submit(stage.delivery.complete, endpoint, "the window is over")
        wait_until(lambda: stage.store.load(endpoint).pending is not None, timeout=10, what="left")
        yield left
        assert answer.result().status == 200
        assert left.result().pending is None


def test_a_request_under_way_is_answered_though_another_endpoint_retires_its_arm(
    stage: Stage,
) -> None:
    for model in ("delay@1", "delay@2"):
        stage.delivery.start(OTHER, stage.release(model, endpoint=OTHER))
    with leaving(stage, ENDPOINT) as left:
        stage.delivery.complete(OTHER, "the window is over")
        assert not left.done()


def test_a_candidate_still_routed_to_is_not_forgotten_for_another_endpoint(tmp_path: Path) -> None:
    """Its withdrawal was decided, but whoever did so died before the gateway was told."""

    def observe(step: str, words: str) -> None:
        if step == "saved-withdrawing":
            raise Died

    with rolling(tmp_path, driven=False) as stage:
        ticket = in_canary(stage, 5000)
        with Traffic(stage) as traffic:
            with leaving(stage, OTHER) as left:
                with pytest.raises(Died):
                    conductor(stage, observe).leave(ticket, WISH)
                assert not left.done()
            asked = len(traffic.answers)
            wait_until(lambda: len(traffic.answers) > asked + 50, timeout=10, what="asked more")
            assert stage.store.load(ENDPOINT).phase is Phase.WITHDRAWING
            stage.delivery.recover(ENDPOINT)
            asked = len(traffic.answers)
            wait_until(lambda: len(traffic.answers) > asked + 50, timeout=10, what="asked more")
    assert traffic.failed() == []
    assert {answer.arm for answer in traffic.answers[asked + 1 :]} == {"stable"}
