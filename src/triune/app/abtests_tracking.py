"""Every A/B test as an experiment of the tracker (MLflow), each of its runs as a run there.

Follows the events of tests in the ledger: what began is created there, with its declaration as
parameters; what ended gets its looks as metrics over time, its verdict and its end. How far that
has come is a position in the ledger; done twice it changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from triune.delivery.abtest import runs
from triune.delivery.abtest.findings import Compared
from triune.delivery.abtest.runs import Run
from triune.delivery.abtest.service import ABTests, Look
from triune.ledger.ports import Position, Query, Stored
from triune.ledger.service import Ledger
from triune.models.tracking.model import RunRecord, RunStatus
from triune.models.tracking.ports import Point, Tracker

READER = "tests"
LOOKS = 40


@dataclass
class TestShipper:
    """Brings tests into a tracker; ``tracker`` gives the experiment of a name."""

    __test__ = False

    ledger: Ledger
    tests: Callable[[], ABTests]
    tracker: Callable[[str], Tracker]
    workspace: str
    _trackers: dict[str, Tracker] = field(default_factory=dict)

    def has_news(self) -> bool:
        """Whether a test began or ended since the last time; cheap."""
        return next(self._news(), None) is not None

    def ship(self) -> int:
        """Ship what there is; returns how many tests had something.

        Raises
        ------
        Unavailable: (``mlflow-unreachable``) the rest is shipped the next time.
        """
        found = list(self._news())
        if not found:
            return 0
        names = dict.fromkeys(str(s.event.subject).partition(":")[2] for s in found)
        known = self.tests().runs()
        for run in known.all:
            if run.name in names:
                self._ship(run)
        self.ledger.record([], position=Position(self._reader, str(found[-1].sequence)))
        return len(names)

    def _news(self) -> Iterator[Stored]:
        after = int(self.ledger.position(self._reader) or 0)
        return self.ledger.select(Query(kind=runs.KIND, after=after))

    @property
    def _reader(self) -> str:
        return f"{READER}:{self._tracker('').identity}"

    def _tracker(self, name: str) -> Tracker:
        if name not in self._trackers:
            self._trackers[name] = self.tracker(f"{self.workspace}/tests/{name}")
        return self._trackers[name]

    def _ship(self, run: Run) -> None:
        tracker = self._tracker(run.name)
        tracked = tracker.find(run.id) or tracker.create(_record(run))
        if run.running:
            tracker.log(tracked, params=_params(run), tags=_tags(run))
            return
        tests = self.tests()
        looks = tests.path(tests.standing(run), LOOKS)
        points = [point for step, look in enumerate(looks) for point in _points(look, step)]
        tracker.log(tracked, points=points, params=_params(run), tags=_tags(run))
        tracker.end(tracked, RunStatus.FINISHED, run.until or run.since)


def _record(run: Run) -> RunRecord:
    return RunRecord(
        id=run.id,
        name=run.name,
        status=RunStatus.RUNNING,
        started=run.since,
        ended=run.until,
        actor=run.actor,
        host="",
        pid=0,
        params={},
        tags={},
        metrics={},
        inputs=tuple((ref, "release") for ref in run.arms),
        details={"kind": "ab-test", "reason": run.reason},
        artifacts={},
        error="",
        started_event=run.id,
        finished_event="",
    )


def _params(run: Run) -> dict[str, str]:
    declared = run.declaration
    return {
        "hypothesis": declared.hypothesis,
        "compares": declared.endpoint or declared.flag or "",
        "control": declared.control,
        **{f"share/{v.name}": f"{v.share / 100:g} %" for v in declared.variants},
        "primary": declared.primary.name,
        "metrics": ", ".join(f"{m.name} ({m.kind.value})" for m in declared.metrics),
        "method": declared.method.value,
        "alpha": f"{declared.alpha:g}",
        "planned_units": str(declared.planned_units),
        "cycle_days": f"{declared.cycle_days:g}",
    }


def _tags(run: Run) -> dict[str, str]:
    said = {"triune.stage": run.stage.value, "triune.verdict": run.verdict}
    return {**said, "triune.winner": run.winner or "", "triune.why": run.why}


def _points(look: Look, step: int) -> Iterator[Point]:
    def point(name: str, value: float) -> Point:
        return Point(name, value, look.at, step)

    yield point("split p", look.analysis.ratio.p)
    for name, units in look.readings.exposed.items():
        yield point(f"units/{name}", float(units))
    for row in look.analysis.comparisons:
        for name, value in _values(row):
            yield point(f"{row.metric}/{row.variant}/{name}", value)


def _values(row: Compared) -> Iterator[tuple[str, float]]:
    shown = row.shown
    known = {"control": row.control, "candidate": row.candidate, "p": row.p}
    if shown is not None:
        known |= {"effect": shown.value, "low": shown.low, "high": shown.high}
    yield from ((name, value) for name, value in known.items() if value is not None)
