"""The verdict on a shadow: never a pass without enough pairs, never a fail that chance explains."""

from __future__ import annotations

import numpy as np
import pytest

from triune.delivery.rollout.shadow import ShadowTick
from triune.delivery.rollout.shadow_gate import Limits, judge
from triune.delivery.rollout.verdict import Verdict

LIMITS = Limits(pairs=1000, disagreement=0.05, failures=0.01, alpha=0.01)


@pytest.mark.parametrize(
    ("total", "verdict", "words"),
    [
        (ShadowTick(), Verdict.NOT_YET, "0 of 1000"),
        (ShadowTick(lost=10**6, skipped=10**6), Verdict.NOT_YET, "0 of 1000"),
        (ShadowTick(pairs=999), Verdict.NOT_YET, "999 of 1000"),
        (ShadowTick(pairs=1000), Verdict.PASS, "0 of 1000 answers differ"),
        (ShadowTick(pairs=1000, disagreements=50, failures=10), Verdict.PASS, "at most"),
        (ShadowTick(pairs=1000, disagreements=55), Verdict.NOT_YET, "chance may explain"),
        (ShadowTick(pairs=1000, failures=14), Verdict.NOT_YET, "chance may explain"),
        (ShadowTick(pairs=1000, disagreements=100), Verdict.FAIL, "100 of 1000 answers differ"),
        (ShadowTick(pairs=40, disagreements=40), Verdict.FAIL, "40 of 40 answers differ"),
        (ShadowTick(failures=30), Verdict.FAIL, "failed 30 of 30"),
        (ShadowTick(pairs=5, disagreements=1), Verdict.NOT_YET, "5 of 1000"),
        (ShadowTick(pairs=100_000, disagreements=5_400), Verdict.FAIL, "answers differ"),
    ],
)
def test_verdicts(total: ShadowTick, verdict: Verdict, words: str) -> None:
    found = judge(total, LIMITS)
    assert found.verdict is verdict
    assert words in found.words
    assert found.disagreement[0] <= found.disagreement[1]


def test_without_any_pair_there_is_no_pass_whatever_is_planned() -> None:
    assert judge(ShadowTick(), Limits(0, 0.05, 0.01)).verdict is Verdict.NOT_YET
    assert judge(ShadowTick(pairs=1), Limits(0, 0.05, 0.01)).verdict is Verdict.PASS


def test_a_shadow_at_its_limits_is_seldom_failed_however_often_one_looks() -> None:
    random = np.random.default_rng(20261125)
    limits = Limits(pairs=300, disagreement=0.05, failures=0.05, alpha=0.1)
    failed = 0
    for _ in range(100):
        fails = np.cumsum(random.random(1000) < 0.05)
        differs = np.cumsum(random.random(1000) < 0.05)
        for n in range(20, 1000, 20):
            total = ShadowTick(
                pairs=n - int(fails[n]), failures=int(fails[n]), disagreements=int(differs[n])
            )
            if judge(total, limits).verdict is Verdict.FAIL:
                failed += 1
                break
    assert failed <= 10
