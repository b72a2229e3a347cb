"""Do A/B tests that are looked at all the time find what is not there, and miss what is?

- Nothing to find: both arms alike, a look after every 100 units an arm up to 50,000 an arm (arms
  of 9 to 1: after as many units), planned for these. The share of runs that ever show a difference
  must be at most alpha and three standard errors.
- Something to find: the effect that the plan gives a power of 80 % at its last look, for several
  planned sizes. The share of runs that show it by then must be at least that of GrowthBook's
  sequential defaults, less three standard errors of the difference. Ours alone with arms of 9 to
  1, where theirs finds what is not there.
- Quantiles, from histograms, with an eighth of the runs.
- CUPED: the variance of the effect over runs, against 1 - rho^2 of that without, within three
  standard errors; and what the analysis itself says is left.

Beside ours: GrowthBook's sequential testing as it comes (gbstats' published formula: the same
confidence sequence, tuned to 5,000 units, no burn-in) and the z test looked at again and again.

    .venv/bin/python -m bench.abtest [--runs 4000] [--quick] [--json] [--only WORD]

What is ours and goes beyond the plain confidence sequence, and why, is in
``docs/adr/0026-ab-tests-at-any-time.md``. Ends with status 1 when one of ours misses its bar.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench.abtests.looks import TESTS, Plan
from bench.abtests.worlds import BUYERS, SPREAD, WORLDS, World
from triune.delivery.abtest import arms
from triune.delivery.abtest.cell import Cell
from triune.delivery.abtest.model import Kind, Metric
from triune.stats import quantile_ab
from triune.stats.log_bins import WIDTH
from triune.stats.sample_size import effect_of, reach

SEED = 20_261_201
ALPHA, POWER = 0.05, 0.8
BLOCK, MOST = 100, 50_000
BATCH = 500
PLANNED = (1_000, 2_500, 10_000, 50_000)
"""Units an arm; 2,500 is what GrowthBook's default is tuned to."""
CHANCES = {"binary 3 %": 0.03, "binary 0.1 %": 0.001, "revenue": BUYERS}
DIFFERENT = (
    *(("normal", planned) for planned in PLANNED),
    *(("binary 3 %", planned) for planned in PLANNED),
    ("binary 0.1 %", 50_000),
    ("revenue", 10_000),
    ("revenue", 50_000),
    ("normal, 9 to 1", 10_000),
    ("binary 3 %, 9 to 1", 10_000),
    ("binary 0.1 %, 9 to 1", 50_000),
    ("revenue, 9 to 1", 50_000),
)
RHOS = (0.3, 0.5, 0.7, 0.9)


@dataclass(frozen=True, slots=True)
class Result:
    """A test in a row. ``share`` of the runs showed a difference; ``median`` of these after so
    many of the planned units; ``bar``, what is accepted, None for those of others."""

    part: str
    row: str
    test: str
    runs: int
    share: float
    median: float | None
    bar: float | None
    passed: bool | None


def first_shown(
    world: World, runs: int, looks: int, effect: float, seed: int
) -> dict[str, np.ndarray]:
    """For every test the look, from 1, at which each run first showed a difference; 0: never."""
    draw = np.random.default_rng(seed)
    found: dict[str, list[np.ndarray]] = {name: [] for name in TESTS}
    plan = Plan(ALPHA, 2.0 * BLOCK * looks, world.binary)
    for begin in range(0, runs, BATCH):
        a, b = world.arms(draw, min(BATCH, runs - begin), looks, BLOCK, effect)
        for name, test in TESTS.items():
            with np.errstate(divide="ignore", invalid="ignore"):
                shown = test(a, b, plan)
            found[name].append(np.where(shown.any(axis=1), shown.argmax(axis=1) + 1, 0))
    return {name: np.concatenate(parts) for name, parts in found.items()}


def nothing_to_find(runs: int, only: str) -> Iterator[Result]:
    bar = ALPHA + 3.0 * math.sqrt(ALPHA * (1.0 - ALPHA) / runs)
    for at, world in enumerate(WORLDS):
        if only not in f"alike {world.name}":
            continue
        looks = MOST // BLOCK
        for name, first in first_shown(world, runs, looks, 0.0, SEED + at).items():
            own, share = name == "triune", float((first > 0).mean())
            yield Result(
                "alike",
                world.name,
                name,
                runs,
                share,
                _median(first, looks),
                bar if own else None,
                share <= bar if own else None,
            )


def something_to_find(runs: int, only: str) -> Iterator[Result]:
    worlds = {world.name: world for world in WORLDS}
    for at, (name, planned) in enumerate(DIFFERENT):
        if only not in f"differ {name}":
            continue
        world, looks = worlds[name], planned // BLOCK
        first = first_shown(world, runs, looks, _effect(world, planned), SEED + 100 + at)
        shares = {test: float((found > 0).mean()) for test, found in first.items()}
        both = float(((first["triune"] > 0) != (first["GrowthBook"] > 0)).mean())
        bar = shares["GrowthBook"] - 3.0 * math.sqrt(both / runs)
        # With uneven arms theirs also "finds" what is not there: nothing to be measured against.
        fair = world.shares[0] == world.shares[1]
        for test in ("triune", "GrowthBook") if fair else ("triune",):
            own = fair and test == "triune"
            yield Result(
                "differ",
                f"{name}; {planned} an arm",
                test,
                runs,
                shares[test],
                _median(first[test], looks),
                bar if own else None,
                shares[test] >= bar if own else None,
            )


def _effect(world: World, planned: int) -> float:
    """What the plan gives a power of 80 %, in the chance of a unit that is 1 (or buys)."""
    z, share = reach(ALPHA, sequential=True), min(world.shares)
    p = next((p for name, p in CHANCES.items() if world.name.startswith(name)), None)
    if p is None:
        return effect_of(1.0, 2 * planned, z=z, power=POWER, share=share)
    if world.name.startswith("revenue"):
        # The mean is p times what a buyer pays, and so is an effect on it.
        paid, squared = math.exp(SPREAD**2 / 2.0), math.exp(2.0 * SPREAD**2)
        variance = p * squared - (p * paid) ** 2
        return effect_of(variance, 2 * planned, z=z, power=POWER, share=share) / paid
    return effect_of(p * (1.0 - p), 2 * planned, z=z, power=POWER, share=share)


def quantiles(runs: int, only: str) -> Iterator[Result]:
    """Times of log-normal units, alike or 8 % slower, with a look after every 200 units an arm."""
    runs = min(runs // 8, 400)
    for at, (q, slower) in enumerate(((0.5, 1.0), (0.9, 1.0), (0.5, 1.08), (0.9, 1.08))):
        row = f"quantile {q}" + ("" if slower == 1.0 else ", +8 %; 10000 an arm")
        if only not in row:
            continue
        draw = np.random.default_rng(SEED + 300 + at)
        first = np.array([_first_apart(draw, q, slower) for _ in range(runs)])
        share = float((first > 0).mean())
        bar = ALPHA + 3.0 * math.sqrt(ALPHA * (1.0 - ALPHA) / runs) if slower == 1.0 else None
        passed = None if bar is None else share <= bar
        part = "alike" if slower == 1.0 else "differ"
        yield Result(part, row, "triune", runs, share, _median(first, 50), bar, passed)


def _first_apart(draw: np.random.Generator, q: float, slower: float) -> int:
    """The look, from 1 to 50, at which the quantiles are shown to differ; 0: never."""
    times = draw.lognormal(3.0, 0.6, (2, 10_000)) * [[1.0], [slower]]
    places = np.floor(np.log(times) / WIDTH).astype(int)
    places -= places.min()
    width = places.max() + 1
    for look in range(1, 51):
        counts = [np.bincount(arm[: look * 200], minlength=width) for arm in places]
        if quantile_ab.p_value_of_counts(counts[0], counts[1], q, 10_000) <= ALPHA:
            return look
    return 0


def known_before(runs: int, only: str) -> Iterator[Result]:
    """The variance that is left of the effect's, over runs and as the analysis says."""
    metric = Metric("m", Kind.MEAN, covariate="u:m")
    for at, rho in enumerate(RHOS):
        if only not in f"cuped {rho}":
            continue
        draw = np.random.default_rng(SEED + 200 + at)
        plain, less, said = np.empty(runs), np.empty(runs), np.empty(runs)
        for run in range(runs):
            before = draw.normal(size=(2, 500))
            now = rho * before + math.sqrt(1.0 - rho * rho) * draw.normal(size=(2, 500))
            plain[run] = now[1].mean() - now[0].mean()
            less[run], said[run] = _adjusted(metric, now, before, exact=run < 20)
        left = float(less.var() / plain.var())
        expected, error = 1.0 - rho * rho, 3.0 * 2.0 * rho / math.sqrt(runs) * left
        passed = abs(left - expected) <= error
        yield Result("cuped", f"rho {rho}", "triune", runs, left, None, expected, passed)
        told = float(said.mean())
        passed = abs(told - expected) <= 0.01
        yield Result("cuped", f"rho {rho}", "as it says", runs, told, None, expected, passed)


def _adjusted(
    metric: Metric, now: np.ndarray, before: np.ndarray, *, exact: bool
) -> tuple[float, float]:
    """The effect and the share of variance left; the first runs through cells, unit by unit."""
    from triune.stats import cuped
    from triune.stats.effect import absolute
    from triune.stats.summary import Summary

    if exact:
        cells = [Cell.of(metric, zip(now[i], before[i], strict=True)) for i in (0, 1)]
        pair = arms.pair(metric, *cells)
        return absolute(pair.control, pair.candidate).value, pair.noise_left
    summaries = [Summary.of(now[i], before[i]) for i in (0, 1)]
    a, b = cuped.adjusted(*summaries)
    raw = sum(float(s.cov[0, 0]) / s.n for s in summaries)
    return b.value - a.value, (a.variance / a.n + b.variance / b.n) / raw


def _median(first: np.ndarray, looks: int) -> float | None:
    shown = first[first > 0]
    return float(np.median(shown)) / looks if len(shown) else None


HEADS = {
    "alike": "Nothing to find: shows a difference within 500 looks",
    "differ": "Something to find: is shown by the planned size",
    "cuped": "CUPED: variance left",
}


def table(results: list[Result]) -> str:
    lines = []
    for part, head in HEADS.items():
        rows = [result for result in results if result.part == part]
        if not rows:
            continue
        lines += ["", f"{head:<60}{'share':<10}{'median at':<12}accepted"]
        for row in rows:
            at = "" if row.median is None else f"{row.median:.0%}"
            sign = {"alike": "<=", "differ": ">=", "cuped": "about"}[part]
            bar = "-" if row.bar is None else f"{sign} {row.bar:.4f}"
            verdict = {None: "", True: "ok", False: "MISSED"}[row.passed]
            name = f"{row.row:<36}{row.test:<24}"
            lines.append(f"{name}{row.share:<10.4f}{at:<12}{bar} {verdict}".rstrip())
    return "\n".join(lines)


def simulate(runs: int, only: str = "") -> list[Result]:
    return [
        *nothing_to_find(runs, only),
        *something_to_find(runs, only),
        *quantiles(runs, only),
        *known_before(runs, only),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=4000)
    parser.add_argument("--quick", action="store_true", help="500 runs")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", default="", help="rows with this word")
    chosen = parser.parse_args()
    runs, begun = 500 if chosen.quick else chosen.runs, time.monotonic()
    results = simulate(runs, chosen.only)
    if chosen.json:
        print(json.dumps([asdict(result) for result in results], indent=1))
    else:
        print(table(results))
        print(f"\n{runs} runs a row, {time.monotonic() - begun:.0f} s, seed {SEED}")
    return int(any(result.passed is False for result in results))


if __name__ == "__main__":
    sys.exit(main())
