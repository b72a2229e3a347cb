"""Canaries on real flights at 200 requests a second: good, harmful and harmless ones, by the clock.

Everything is real: the services of ``triune up``, models trained from the example, the controller,
the guard, the gateway, recorded traffic of September onward. Five stories:

- ``good``: another model as good as the one that serves is promoted.
- ``errors``: a model that fails about 5 % of the requests is back at 0 %; bar: 60 s.
- ``slow``: beside a model of the same kind, one whose requests for rare destinations (2 %) take
  many times as long: only the tail differs. Back at 0 %; bar: 120 s.
- ``same``: the same model again. An hour of looks is compressed tenfold: 360 looks a second apart
  instead of ten, at the same rate, so each look has a tenth of the requests. Never rolled back.
- ``quiet``: an endpoint with 5 requests a minute, each of which counts: neither promoted nor rolled
  back by noise, though some answers of the candidate are errors.

    .venv/bin/python bench/live_canary.py [STORY ...] [--same-looks 360] [--json]

Times run from the first user who could reach the candidate until no user could. Ends with status 1
when a bar is not held.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.support.flights import flights

from triune.app import services
from triune.app.context import Context
from triune.app.replay.background import Background
from triune.app.replay.service import Settings
from triune.core.rollout_config import Strategy
from triune.core.workspace import Workspace
from triune.delivery.rollout.view import RolloutView
from triune.ledger.ports import Query
from triune.models.training.service import Trainer

ENDPOINT = "flights/delay"
RATE = 200.0
FAST = {"steps": "[10, 50]", "step_s": 10, "tick_s": 1, "warm_up_s": 3, "min_requests": 150}
BARS = {"errors": 60.0, "slow": 120.0}
TRAININGS = {
    "stable": ("asof", {}),
    "good": ("retrained", {}),
    "errors": ("flaky", {}),
    "even": ("slow", {"draws": 1}),
    "slow": ("slow", {}),
}


@dataclass
class Bench:
    """One workspace with its services up."""

    root: Path
    models: dict[str, str] = field(default_factory=dict)
    found: dict[str, dict[str, Any]] = field(default_factory=dict)

    def context(self) -> Context:
        return Context(Workspace(self.root))

    def prepare(self, wanted: list[str]) -> None:
        """Services, data, the models that the stories need."""
        context = self.context()
        services.up(context)
        context.data.build("nycflights")
        context.data.add("nycflights")
        trainer = Trainer(context.workspace, context.ledger, context.data)
        needed = ["stable", *(["even"] if "slow" in wanted else []), *wanted]
        for story in [name for name in needed if name in TRAININGS]:
            training, params = TRAININGS[story]
            version = context.registry.register(trainer.train(training, params=params).id)
            self.models[story] = f"{version.name}@{version.number}"
            print(f"{story}: {self.models[story]}", file=sys.stderr, flush=True)
        context.close()

    def define(self, **settings: Any) -> None:
        """Replace the endpoint's rollout table."""
        path = self.root / "triune.toml"
        head, _, rest = path.read_text().partition(f'[endpoints."{ENDPOINT}".rollout]')
        tail = rest[rest.index("\n[") :] if "\n[" in rest else ""
        lines = "\n".join(f"{key} = {value}" for key, value in settings.items())
        table = f'[endpoints."{ENDPOINT}".rollout]\nstrategy = "canary"\n{lines}\n'
        path.write_text(f"{head}{table}{tail}")

    def reshape(self, rows: int) -> None:
        """Another serving setting: the same model becomes another release."""
        path = self.root / "triune.toml"
        text = re.sub(r"^max_rows = .*\n", "", path.read_text(), flags=re.MULTILINE)
        path.write_text(text.replace("\nworkers = 1\n", f"\nmax_rows = {rows}\nworkers = 1\n", 1))

    def serve(self, model: str, rows: int) -> str:
        """Bring a model to all users, blue-green, as a release of its own."""
        self.reshape(rows)
        context = self.context()
        release = context.delivery.releases.create(ENDPOINT, model).ref
        ticket = context.rollouts.start(ENDPOINT, release, strategy=Strategy.BLUE_GREEN)
        context.rollouts.follow(ticket, lambda _: None)
        context.close()
        return release

    def canary(
        self, name: str, model: str, rows: int, until: Callable[[RolloutView], bool]
    ) -> None:
        """Start a canary and look at it until it is over or ``until`` says so."""
        self.reshape(rows)
        context = self.context()
        release = context.delivery.releases.create(ENDPOINT, model).ref
        context.rollouts.start(ENDPOINT, release)
        seen: RolloutView | None = None
        while seen is None or not (seen.over or until(seen)):
            time.sleep(0.1)
            seen = context.rollouts.view(ENDPOINT)
        if not seen.over:
            context.rollouts.abort(ENDPOINT, "the story is told")
        context.ledger.flush()
        self.found[name] = {
            **self._facts(context, seen),
            "explained": context.rollouts.explain(ENDPOINT),
        }
        print(name, json.dumps(self.found[name], indent=1), file=sys.stderr, flush=True)
        context.close()

    def _facts(self, context: Context, seen: RolloutView) -> dict[str, Any]:
        moved = self._first(context, "rollout.stepped", seen)
        back = self._first(context, "rollout.rolled-back", seen)
        return {
            "outcome": seen.outcome or seen.phase,
            "reason": seen.reason,
            "looks": seen.looks,
            "gaps": seen.gaps,
            "exposed": seen.exposed,
            "exposed_errors": seen.exposed_errors,
            "e": seen.e,
            "weight": seen.weight,
            "seconds_to_zero": round(back - moved, 2) if moved and back else None,
            "by": seen.why.get("metrics") or seen.why.get("check"),
            "phi": {m.name: m.phi for m in seen.metrics},
        }

    def _first(self, context: Context, kind: str, seen: RolloutView) -> float | None:
        for stored in context.ledger.select(Query(kind=kind, since=round(seen.started * 1e6))):
            if stored.event.payload.get("rollout") == seen.rollout:
                return stored.event.time / 1e6
        return None


def tell(bench: Bench, stories: list[str], looks: int) -> None:
    bench.prepare(stories)
    stable, rows = bench.models["stable"], iter(range(10_001, 11_000))
    bench.serve(stable, next(rows))
    workspace = Workspace(bench.root)
    traffic = Background.start(workspace, ENDPOINT, Settings(rate=RATE))
    try:
        traffic.wait_for(lambda s: s.good > 2000, what="traffic flows")
        for story in ("good", "errors", "slow"):
            if story in stories:
                bench.define(**FAST | ({"step_s": 60} if story == "slow" else {}))
                bench.serve(bench.models["even"] if story == "slow" else stable, next(rows))
                bench.canary(story, bench.models[story], next(rows), lambda _: False)
        if "same" in stories:
            bench.serve(stable, next(rows))
            bench.define(**FAST | {"steps": "[10]", "step_s": looks + 60, "horizon_s": 36_000})
            bench.canary("same", stable, next(rows), lambda v: v.looks >= looks)
    finally:
        traffic.stop()
    if "quiet" in stories:
        quiet(bench, workspace, next(rows))


def quiet(bench: Bench, workspace: Workspace, rows: int) -> None:
    """Five requests a minute for four minutes, half of them to a model that fails now and then."""
    bench.serve(bench.models["stable"], rows + 500)
    model = bench.models.get("errors") or bench.models["stable"]
    bench.define(**FAST | {"steps": "[50]", "tick_s": 5, "min_requests": 50, "step_s": 30})
    traffic = Background.start(workspace, ENDPOINT, Settings(rate=5 / 60))
    try:
        begun = time.monotonic()
        bench.canary("quiet", model, rows, lambda _: time.monotonic() - begun > 240)
    finally:
        traffic.stop()


def held(found: dict[str, dict[str, Any]]) -> dict[str, bool]:
    """Which bars are held."""
    rules: dict[str, Callable[[dict[str, Any]], bool]] = {
        "good": lambda f: f["outcome"] == "promoted",
        "errors": lambda f: f["seconds_to_zero"] is not None and f["seconds_to_zero"] <= 60,
        "slow": lambda f: f["seconds_to_zero"] is not None and f["seconds_to_zero"] <= 120,
        "same": lambda f: f["outcome"] == "canary",
        "quiet": lambda f: f["outcome"] == "canary",
    }
    return {story: rules[story](facts) for story, facts in found.items()}


def main() -> int:
    parser = argparse.ArgumentParser()
    stories = ["good", "errors", "slow", "same", "quiet"]
    parser.add_argument("stories", nargs="*", default=stories, help=", ".join(stories))
    parser.add_argument("--same-looks", type=int, default=360)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(flights(Path(folder) / "flights"))
        try:
            tell(bench, options.stories, options.same_looks)
        finally:
            services.down(bench.context())
    kept = held(bench.found)
    if options.json:
        print(json.dumps({"found": bench.found, "held": kept}))
    else:
        for story, facts in bench.found.items():
            took = facts["seconds_to_zero"]
            shown = f"{took:g} s" if took is not None else "-"
            print(
                f"{story:8} {facts['outcome']:12} to 0 %: {shown:8} looks {facts['looks']:4} "
                f"exposed {facts['exposed']:6}  {'held' if kept[story] else 'MISSED'}"
            )
    return 0 if all(kept.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
