"""Does the canary cry wolf, and how soon does it see harm? Ours beside what people use.

100 requests a second, a tenth to the candidate, 1 % errors, a look every 10 s, alpha 0.01. The
harmless rows give the share of runs that are rolled back within 24 hours; the harmful ones how
long after the onset, as median (90th percentile) in seconds.

    .venv/bin/python -m bench.canary_simulation [--runs 400] [--quick] [--json] [--only WORD]

What is ours and goes beyond the plain kernel (flat grid, half of the mixture on the first tick,
binomial of k trials); each keeps E[E_t] <= 1, for the reasons in ``triune.stats``:

- Grid weights .5 1.5 3 3.5 2.5 2 1 .5 (scaled) instead of flat ones. The delay for an odds ratio
  is ln(1/weight) over its information a tick, so weight is worth most where information comes
  slowly, and least where one tick settles it. With w_1 = .6, in 4000 runs of the kernel:
  1 -> 2 % median 170 instead of 200 s, mean for 1 -> 3 % 66 instead of 71 s, for 1 -> 5 % 27
  instead of 28 s; in 1000 runs, 1 -> 2 % after 6 h median 370 instead of 380 s.
- w_1 = .6 instead of .5: harm from the first request is the common case. Harm after 6 h pays
  ln(.5/.4) = .22 nats for it, under one tick, less than the grid weights save.
- The likelihood ratio uses the true width of b's support, min(k, n_b), instead of k trials
  (``triune.stats.tick_ratio``): the median of the latency +15 % is seen after 145 instead of 320 s.
- The gate's weights: errors .5, p50 .1, p90 .1, p99 .3. Slower shifts of the median carry so much
  information that a small weight costs them one tick; the tail needs it. Beside .5 and three
  sixths: p99 +50 % 50 instead of 60 s, the slowest 2 % +50 % 160 instead of 180 s, all +15 % 190
  instead of 175 s, errors unchanged.

- One tick multiplies the evidence of a latency by 8 at most: a process that is held up for a moment
  makes hundreds of answers slow at once, which is one event. The row of processes held up shows
  what happens without: every run is rolled back.

Ends with status 1 when one of ours misses its bar: false rollbacks at most alpha and three
standard errors in every harmless row; medians as in the last column.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench.canary.scenarios import OURS, Row, allowed, rows
from bench.canary.traffic import TICK_SECONDS

SEED = 20_240_601


@dataclass(frozen=True, slots=True)
class Result:
    """One decider in one row. ``false``: share of runs rolled back before any harm."""

    row: str
    decider: str
    runs: int
    false: float
    median: float | None
    p90: float | None
    missed: float | None
    bar: float
    passed: bool | None


def first_rollbacks(row: Row, runs: int, seed: int) -> dict[str, np.ndarray]:
    """For every decider, the tick (from 1) of each run's first rollback; 0 for none."""
    draw = np.random.default_rng(seed)
    deciders = {name: make(runs) for name, make in row.deciders.items()}
    first = {name: np.zeros(runs, dtype=int) for name in deciders}
    for tick in range(row.world.ticks):
        counted = row.world.draw(draw, tick, runs)
        for name, decider in deciders.items():
            fired = decider.look(counted) & (first[name] == 0)
            first[name][fired] = tick + 1
        if row.within is not None and all((found > 0).all() for found in first.values()):
            break
    return first


def judge(row: Row, name: str, first: np.ndarray) -> Result:
    runs, ours = len(first), name in OURS
    if row.within is None:
        false, bar = float((first > 0).mean()), allowed(runs)
        return Result(
            row.name, name, runs, false, None, None, None, bar, false <= bar if ours else None
        )
    onset = row.world.onset
    early = (first > 0) & (first <= onset)
    never = row.world.ticks + 1
    delay = (np.where(first == 0, never, first)[~early] - onset) * TICK_SECONDS
    median, p90 = (float(np.quantile(delay, q)) for q in (0.5, 0.9))
    missed = float((first == 0).mean())
    passed = median <= row.within if ours else None
    return Result(
        row.name, name, runs, float(early.mean()), median, p90, missed, row.within, passed
    )


def shown(result: Result) -> str:
    if result.median is None or result.p90 is None:
        return f"{result.false:.4f}"
    text = f"{result.median:.0f} s ({result.p90:.0f})"
    return text + (f", {result.missed:.0%} missed" if result.missed else "")


def table(results: list[Result]) -> str:
    lines = []
    for result in results:
        bar = f"<= {result.bar:.4f}" if result.median is None else f"<= {result.bar:.0f} s"
        verdict = "-" if result.passed is None else f"{bar} {'ok' if result.passed else 'MISSED'}"
        lines.append(f"{result.row:<40}{result.decider:<15}{shown(result):<16}{verdict}")
    return "\n".join([f"{'scenario':<40}{'decider':<15}{'result':<16}accepted", *lines])


def simulate(runs: int, only: str = "") -> list[Result]:
    results = []
    for at, row in enumerate(rows()):
        if only not in row.name:
            continue
        begin = time.perf_counter()
        many = max(runs, 1000) if row.world.ticks == 20 else runs
        first = first_rollbacks(row, many, SEED + at)
        results += [judge(row, name, found) for name, found in first.items()]
        print(f"{row.name}: {time.perf_counter() - begin:.0f} s", file=sys.stderr, flush=True)
    return results


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--quick", action="store_true", help="60 runs a row")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", default="", help="rows whose name contains this")
    chosen = parser.parse_args()
    results = simulate(60 if chosen.quick else chosen.runs, chosen.only)
    if chosen.json:
        print(json.dumps([asdict(result) for result in results], indent=2))
    else:
        print(table(results))
    return int(any(result.passed is False for result in results))


if __name__ == "__main__":
    sys.exit(main())
