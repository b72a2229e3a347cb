"""Readings of two arms, made up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from triune.core.rollout_config import RolloutTable
from triune.delivery.gateway.model import Snapshot, Stratum, Tally
from triune.delivery.rollout import analysis
from triune.delivery.rollout.model import Definition, Gates, Progress, Seen, Wish, define
from triune.delivery.rollout.readings import Contest, Tick

CONTEST = Contest("stable", "candidate")
NO_GATES = Gates("r")
WISH = Wish("user:ada", "because", 1.0)


def definition(**settings: Any) -> Definition:
    """A canary's definition: the defaults without warm-up, unless told otherwise."""
    return define(RolloutTable.model_validate({"warm_up_s": 0.0, **settings}))


def tally(requests: int, errors: int = 0, latency: Mapping[float, int] | None = None) -> Tally:
    return Tally(requests, errors, latency=latency or {1000.0: requests})


def tick(
    control: tuple[int, int] = (900, 9), candidate: tuple[int, int] = (100, 1), seconds: float = 10
) -> Tick:
    """Requests and errors of both arms in one tick, all by units and equally fast."""
    return Tick(seconds, {Stratum.UNIT: tally(*control)}, {Stratum.UNIT: tally(*candidate)})


def after(how: Definition, *ticks: Tick, begin: Progress | None = None) -> Progress:
    """The progress after some ticks."""
    progress = begin or Progress()
    for one in ticks:
        progress = analysis.judged(how, progress, one, ())
    return progress


def seen(epoch: str = "e", at: float = 0.0, **tallies: Tally) -> Seen:
    """A cumulative reading: upstream name to tally, all by units."""
    rows = {(name, Stratum.UNIT): one for name, one in tallies.items()}
    return Seen.of(Snapshot(epoch, rows), at, frozenset(tallies))
