"""In whatever order and pieces two arms' answers arrive, they pair to the same result."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.shadows import START_US, HandClock, line, sample
from triune.delivery.rollout.comparing import Rule
from triune.delivery.rollout.samples import Sample
from triune.delivery.rollout.shadow import Pairer, ShadowState, ShadowTick, ShadowWatch

answers = st.builds(
    lambda status, score, degraded, took: {
        "status": status,
        "degraded": degraded,
        "duration_us": took,
        **({"probabilities": (score,)} if status == 200 else {}),
    },
    status=st.sampled_from([200, 200, 200, 400, 500]),
    score=st.sampled_from([0.0, 0.125, 0.5, 0.75, 1.0]),
    degraded=st.sampled_from([None, None, None, "error"]),
    took=st.integers(1, 10**7),
)


@st.composite
def arms(draw: st.DrawFn) -> tuple[list[Sample], list[Sample]]:
    """Answers of two arms to some requests, some of them only to one."""
    live, shadow = [], []
    for number in range(draw(st.integers(0, 12))):
        where = draw(st.sampled_from(["both", "both", "both", "live", "shadow"]))
        if where in ("both", "live"):
            live.append(sample(f"{number}", **draw(answers)))
        if where in ("both", "shadow"):
            shadow.append(sample(f"{number}", **draw(answers)))
    return live, shadow


def expected(live: list[Sample], shadow: list[Sample]) -> ShadowTick:
    """The result, had all the time in the world passed: each request by itself."""
    total = ShadowTick()
    theirs = {one.request: one for one in shadow}
    for mine in live:
        pairer = Pairer(Rule(), patience_s=1.0)
        pairer.add_live([mine], 0.0)
        pairer.add_shadow([theirs[mine.request]] if mine.request in theirs else [], 0.0)
        total = total + pairer.tick(10.0)
    return total


@given(arms(), st.randoms(use_true_random=False))
def test_any_order_gives_the_same_result(
    both: tuple[list[Sample], list[Sample]], chance: Random
) -> None:
    live, shadow = both
    arriving = [(one, True) for one in live] + [(one, False) for one in shadow]
    chance.shuffle(arriving)
    pairer, total = Pairer(Rule(), patience_s=100.0), ShadowTick()
    for step, (one, is_live) in enumerate(arriving):
        (pairer.add_live if is_live else pairer.add_shadow)([one], float(step))
        if step % 3 == 0:
            total = total + pairer.tick(float(step))
    assert total + pairer.tick(1000.0) == expected(live, shadow)


@settings(max_examples=60)
@given(arms(), st.lists(st.integers(0, 2000), max_size=6), st.sets(st.integers(0, 6)))
def test_a_watch_over_files_written_in_pieces_never_counts_twice(
    both: tuple[list[Sample], list[Sample]], cuts: list[int], crashes: set[int]
) -> None:
    """Without a crash everything is as expected; with crashes only waiting answers are lost."""
    with TemporaryDirectory() as folder:
        paths = Path(folder) / "live", Path(folder) / "shadow"
        raw = [line(*samples) for samples in both]
        clock = HandClock()
        state = ShadowState.begin(START_US - 10**7)
        watch = ShadowWatch(paths[0], paths[1], Rule(), clock, patience_s=100.0)
        for turn, (start, end) in enumerate(pairwise([0, *sorted(cuts), 10**6])):
            for path, data in zip(paths, raw, strict=True):
                with path.open("ab") as file:
                    file.write(data[start:end])
            if turn in crashes:
                watch = ShadowWatch(paths[0], paths[1], Rule(), clock, patience_s=100.0)
            clock.seconds += 2.0
            _, state = watch.look(state)
        clock.seconds += 1000.0
        _, state = watch.look(state)
    found, wanted = state.total, expected(*both)
    if not crashes:
        assert found == wanted
    assert found.pairs <= wanted.pairs
    assert found.disagreements <= wanted.disagreements
    assert found.trials + found.lost + found.skipped <= len(both[0])
