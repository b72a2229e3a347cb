"""How long one look of a rollout computes: 6 metrics in 3 strata, both sides.

Errors, timeouts, wrong answers, and the latency at p50, p90 and p99 from the gateway's histograms;
for each one step of the harm kernel and one of the no-harm side, then the gate.

    .venv/bin/python bench/look.py [--looks 2000] [--json]

Ends with status 1 when the median is not below 1000 microseconds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time

import numpy as np

from triune.stats import harm, noharm
from triune.stats.gate import combine
from triune.stats.tails import all_tail_counts
from triune.stats.tick_ratio import Counts

QUANTILES = (0.5, 0.9, 0.99)
WEIGHTS = (0.3, 0.1, 0.1, 0.1, 0.1, 0.3)
STRATA = 3
LIMIT_US = 1000.0
EDGES = np.array([mantissa * 10.0**e for e in range(4) for mantissa in range(10, 100)]) / 10.0


def readings(draw: np.random.Generator) -> tuple[list[list[Counts]], list[np.ndarray]]:
    """Counts of the three event metrics, and (2, bins) histograms, for every stratum."""
    events: list[list[Counts]] = [[] for _ in range(3)]
    histograms = []
    for _ in range(STRATA):
        values = [draw.lognormal(4.1, 0.6, n) for n in (900, 100)]
        at = [np.searchsorted(EDGES, value, side="right") - 1 for value in values]
        histograms.append(np.array([np.bincount(bins, minlength=len(EDGES)) for bins in at]))
        for metric, rate in zip(events, (0.01, 0.003, 0.02), strict=True):
            metric.append((900, 100, int(draw.binomial(900, rate)), int(draw.binomial(100, rate))))
    return events, histograms


class Looker:
    """The state of one rollout's six metrics."""

    def __init__(self) -> None:
        self._harm_test, self._noharm_test = harm.HarmTest(), noharm.NoHarmTest()
        self._harm = [harm.HarmState()] * len(WEIGHTS)
        self._noharm = [noharm.NoHarmState()] * len(WEIGHTS)

    def look(self, events: list[list[Counts]], histograms: list[np.ndarray]) -> float:
        tails = [
            all_tail_counts(EDGES, stable, candidate, QUANTILES, margin=0.05)
            for stable, candidate in histograms
        ]
        slow = [[tail.counts for tail in strata] for strata in zip(*tails, strict=True)]
        for at, rows in enumerate([*events, *slow]):
            self._harm[at] = harm.step(self._harm_test, self._harm[at], rows)
            self._noharm[at] = noharm.step(self._noharm_test, self._noharm[at], rows)
        return combine([state.log_e for state in self._harm], WEIGHTS)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--looks", type=int, default=2000)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    draw, looker, taken = np.random.default_rng(1), Looker(), []
    inputs = [readings(draw) for _ in range(100)]
    for at in range(chosen.looks):
        begin = time.perf_counter()
        looker.look(*inputs[at % len(inputs)])
        taken.append((time.perf_counter() - begin) * 1e6)
    median, p99 = statistics.median(taken), float(np.quantile(taken, 0.99))
    if chosen.json:
        print(json.dumps({"median_us": median, "p99_us": p99, "limit_us": LIMIT_US}))
    else:
        print(f"one look, 6 metrics in 3 strata: median {median:.0f} us, p99 {p99:.0f} us")
    return int(median >= LIMIT_US)


if __name__ == "__main__":
    sys.exit(main())
