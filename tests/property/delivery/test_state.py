"""Whatever happens in whatever order, an endpoint that serves goes on serving."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from triune.core.errors import TriuneError
from triune.delivery import routing, state
from triune.delivery.state import Arm, Colour, EndpointState, Phase
from triune.delivery.store import EndpointStore

_numbers = itertools.count(1)


def candidate(now: EndpointState) -> Arm:
    colour = state.free_colour(now)
    release = f"release:e@{next(_numbers):012x}"
    return Arm(release, colour, 1000, state.process_name(now.endpoint, colour))


def weight(now: EndpointState) -> int:
    return now.pending.weight if now.pending else 0


def baseline(now: EndpointState) -> Arm | None:
    if now.live is None:
        return None
    name = state.process_name(now.endpoint, Colour.GREY)
    return Arm(now.live.release, Colour.GREY, 1001, name)


MOVES: dict[str, Callable[[EndpointState], EndpointState]] = {
    "begin": lambda now: state.begin(now, candidate(now), mark="m", actor="a"),
    "begin-with-baseline": lambda now: state.begin(
        now, candidate(now), mark="m", actor="a", baseline=baseline(now)
    ),
    "warm": lambda now: state.advance(now, Phase.WARMING, mark="m"),
    "smoke": lambda now: state.advance(now, Phase.SMOKING, mark="m"),
    "shadow": lambda now: state.advance(now, Phase.SHADOWING, mark="m", mirror=10_000),
    "canary": lambda now: state.advance(now, Phase.CANARY, mark="m"),
    "more": lambda now: state.weigh(now, weight(now) + 700, mark="m"),
    "withdraw": lambda now: state.withdraw(now, {"reason": "r"}, mark="m", actor="a"),
    "withdrawn": state.withdrawn,
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
        before = state.shares(now)
        try:
            now = MOVES[move](now)
        except TriuneError:
            continue
        after = state.shares(now)
        assert not before or after
        known = [arm for arm, _ in state.upstreams(now)]
        assert all(share.arm in known for share in after)
        assert not after or sum(share.weight for share in after) == 10_000
        colours = [arm.colour for arm in (now.live, now.previous) if arm]
        assert len(colours) == len(set(colours))
        if now.pending and now.phase in state.BEFORE_TRAFFIC | {Phase.REFUSING, Phase.RETIRING}:
            assert now.pending.arm not in known
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
                if after.phase not in reached or len(following) < 200:
                    following.append(after)
                reached.add(after.phase)
        fringe = following
    assert reached == set(Phase)
