"""Whatever happens in whatever order, an endpoint that serves goes on serving."""

from __future__ import annotations

import itertools
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from triune.core.errors import TriuneError
from triune.delivery import routing, state
from triune.delivery.state import Arm, EndpointState, Phase
from triune.delivery.store import EndpointStore

_numbers = itertools.count(1)


def candidate(now: EndpointState) -> Arm:
    colour = state.free_colour(now)
    release = f"release:e@{next(_numbers):012x}"
    return Arm(release, colour, 1000, state.process_name(now.endpoint, colour))


MOVES = {
    "begin": lambda now: state.begin(now, candidate(now), mark="m", actor="a"),
    "warm": lambda now: state.advance(now, Phase.WARMING, mark="m"),
    "smoke": lambda now: state.advance(now, Phase.SMOKING, mark="m"),
    "switch": lambda now: state.advance(now, Phase.SWITCHING, mark="m"),
    "refuse": lambda now: state.refuse(now, {"test": "t"}, mark="m"),
    "refused": state.refused,
    "switched": lambda now: state.switched(now, rollback_until=1.0),
    "back": lambda now: state.roll_back(now, {"reason": "r"}, mark="m", actor="a"),
    "rolled": state.rolled_back,
    "complete": lambda now: state.complete(now, {"reason": "r"}, mark="m", actor="a"),
    "retired": state.retired,
}


@given(st.lists(st.sampled_from(sorted(MOVES)), min_size=20, max_size=150))
@settings(max_examples=200, deadline=None)
def test_no_order_of_moves_leaves_users_without_a_release(moves: list[str]) -> None:
    now = EndpointState("e")
    for move in moves:
        before = state.routed(now)
        try:
            now = MOVES[move](now)
        except TriuneError:
            continue
        after = state.routed(now)
        assert before is None or after is not None
        assert after is None or after in state.upstreams(now)
        colours = [arm.colour for arm in (now.live, now.previous) if arm]
        assert len(colours) == len(set(colours))
        if now.pending and now.phase in state.BEFORE_TRAFFIC | {Phase.REFUSING, Phase.RETIRING}:
            assert now.pending.arm not in state.upstreams(now)
        routing.table([now])


@given(st.lists(st.sampled_from(sorted(MOVES)), max_size=30))
@settings(max_examples=25, deadline=None)
def test_a_state_reads_back_as_it_was_written(moves: list[str]) -> None:
    now = EndpointState("e")
    for move in moves:
        try:
            now = MOVES[move](now)
        except TriuneError:
            continue
    with TemporaryDirectory() as folder:
        store = EndpointStore(Path(folder))
        store.save(now)
        assert store.load("e") == now
        assert store.all() == (now,)


def test_every_phase_has_a_sentence() -> None:
    assert set(state.SENTENCES) == set(Phase)


def test_the_moves_reach_every_phase() -> None:
    """So that the properties above are about all of them."""
    reached, fringe = {Phase.EMPTY}, [EndpointState("e")]
    for _ in range(12):
        following = []
        for now in fringe:
            for move in MOVES.values():
                try:
                    after = move(now)
                except TriuneError:
                    continue
                if after.phase not in reached or len(following) < 20:
                    following.append(after)
                reached.add(after.phase)
        fringe = following
    assert reached == set(Phase)
