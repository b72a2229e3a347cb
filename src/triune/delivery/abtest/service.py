"""The use cases of A/B tests: start, look at, stop, decide."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from triune.core.abtest_config import Promotion
from triune.core.clock import Clock, SystemClock
from triune.core.errors import ConfigError, NotFound, Problem, Refused
from triune.core.ids import new_id
from triune.core.mistakes import closest
from triune.delivery.abtest import rules, runs
from triune.delivery.abtest.analysis import analyse
from triune.delivery.abtest.decide import Action, Decision, decide
from triune.delivery.abtest.declaring import Declared
from triune.delivery.abtest.facts import Period, Reader
from triune.delivery.abtest.findings import Analysis
from triune.delivery.abtest.mistakes import mistakes
from triune.delivery.abtest.model import Declaration
from triune.delivery.abtest.ongoing import Ongoing, reader
from triune.delivery.abtest.ports import Before, Endpoints, Log
from triune.delivery.abtest.readings import Readings
from triune.delivery.abtest.register import NOBODY, Register, check_reason
from triune.delivery.abtest.runs import Run, Runs
from triune.delivery.abtest.standing import TestStanding, decided, of_counts
from triune.delivery.abtest.stream import Position
from triune.delivery.abtest.tally import Tally
from triune.delivery.flags.service import Flags, FlagSet
from triune.ledger.envelope import microseconds, person

if TYPE_CHECKING:
    from triune.delivery.abtest.past import Expected

FEWEST_UNITS = 100
"""Planned for an arm at least: below it nothing is read off a test."""

AGREE = 1e-9
"""Relative differences up to this are the rounding of the computation that is compared with."""

POINTS = 40
"""Moments at which a test is looked at for a drawing, or a dry run."""

DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Checked:
    """What computing a test anew came to: the largest relative difference, the events read."""

    apart: float
    read: int

    @property
    def agrees(self) -> bool:
        return self.apart <= AGREE


@dataclass(frozen=True, slots=True)
class Look:
    """A test at a moment, in microseconds since 1970."""

    at: int
    readings: Readings
    analysis: Analysis
    decision: Decision


@dataclass(frozen=True)
class ABTests:
    """The A/B tests of one workspace.

    What is started, stopped or decided is one event, in one transaction with the flag's change: it
    is there or it is not. What follows at an endpoint is done then, and done again by `mend` when
    the process died in between.
    """

    log: Log
    workspace: str
    flags: Flags
    endpoints: Endpoints
    folder: Path
    declared: Callable[[], Mapping[str, Declared]]
    before: Before | None = None
    clock: Clock = field(default_factory=SystemClock)

    @cached_property
    def register(self) -> Register:
        """The tests as the ledger has them."""
        return Register(self.log, self.workspace, self.flags)

    @cached_property
    def ongoing(self) -> Ongoing:
        """The sums."""
        return Ongoing(self.log, self.folder, self.before)

    def runs(self) -> Runs:
        """All tests that ever ran."""
        return self.register.runs()

    def find(self, name: str) -> Declared:
        """A test of ``triune.toml``. Raises `NotFound` (``test-undeclared``)."""
        known = self.declared()
        if name not in known:
            raise NotFound(
                "test-undeclared",
                f"triune.toml declares no test {name!r}",
                hint=closest(name, known) if known else f"Add [tests.{name}].",
            )
        return known[name]

    def check(self, declaration: Declaration) -> None:
        """Whether a test could start now.

        Raises
        ------
        ConfigError: every mistake of the declaration, also against the flags there are.
        Conflict: see `runs.check_free`.
        """
        found = [*mistakes(declaration), *self._against_flag(declaration, self.flags.current())]
        if found:
            raise ConfigError(found)
        runs.check_free(declaration, self.runs())

    def start(
        self,
        declaration: Declaration,
        reason: str,
        *,
        promotion: Promotion = Promotion.ASK,
        actor: str | None = None,
    ) -> Run:
        """Begin a test. One of an endpoint whose rollout a dead command left unbegun goes on.

        Raises
        ------
        ConfigError: every mistake of the declaration, also against the flags there are.
        Conflict: see `runs.check_free`; ``rollout-in-progress``.
        NotFound, Refused: see `endpoints.Endpoints.arms`; `Refused` (``reason-missing``).
        """
        who = actor or person()
        check_reason(reason, declaration.name)
        left = self._left_unbegun(declaration)
        if left is not None:
            self.mend(left)
            return left
        self.check(declaration)
        arms: Mapping[str, str] = {}
        if declaration.endpoint is not None:
            arms = {ref: name for name, ref in self.endpoints.arms(declaration).items()}
        payload = runs.as_started(
            declaration,
            reason=reason,
            arms=arms,
            rollout=new_id() if declaration.endpoint is not None else None,
            promotion=promotion,
        )

        run = self.register.start(declaration, payload, who)
        self.mend(run)
        return run

    def stop(self, name: str, reason: str, *, actor: str | None = None) -> Run:
        """Take no more exposures: everybody gets what was before. Outcomes still count.

        Raises
        ------
        NotFound: (``test-unknown``). Conflict: (``test-over``). Refused: (``reason-missing``).
        """
        return self._end(name, runs.STOPPED, {"reason": reason}, NOBODY, actor)

    def _end(
        self, name: str, kind: str, payload: Mapping[str, Any], winner: str, actor: str | None
    ) -> Run:
        check_reason(str(payload["reason"]), name)
        run = self.register.end(name, kind, payload, winner, actor or person())
        self.mend(run)
        return run

    def decide(
        self,
        name: str,
        reason: str = "",
        *,
        winner: str | None = None,
        actor: str | None = None,
    ) -> Run:
        """End a test with its verdict: a winner becomes what everybody gets.

        Without ``winner`` the test's own evidence decides; with one a person does (`NOBODY`:
        everything stays as it was before), for which a reason is needed.

        Raises
        ------
        Refused: ``test-undecided`` (the evidence does not decide yet), ``reason-missing``.
        NotFound: ``test-unknown``, ``variant-unknown``.
        Conflict: ``test-over``.
        """
        stands = self.status(name)
        decision = stands.decision
        if winner is None:
            if decision.action not in (Action.PROMOTE, Action.STOP):
                raise Refused(
                    "test-undecided",
                    f"the evidence does not decide {name!r}: {decision.reason}",
                    hint="Wait, or decide yourself: `--winner VARIANT` (or `--no-winner`).",
                )
            chosen = decision.variant or NOBODY
        else:
            chosen = winner
            check_reason(reason, name)
        if chosen and chosen not in stands.run.declaration.shares:
            raise NotFound(
                "variant-unknown",
                f"the test {name!r} has no variant {chosen!r}",
                hint=closest(chosen, list(stands.run.declaration.shares)),
            )
        self._check_there(stands.run, chosen)
        payload = {
            "reason": reason or decision.reason,
            "verdict": decision.verdict.value,
            "winner": chosen or None,
            "found": {
                "action": decision.action.value,
                "reason": decision.reason,
                "by_evidence": winner is None,
                "analysis": msgspec.to_builtins(stands.analysis),
                "counts": dict(stands.counts),
            },
        }
        return self._end(name, runs.DECIDED, payload, chosen, actor)

    def _check_there(self, run: Run, winner: str) -> None:
        """A candidate whose rollout is over cannot be promoted by it."""
        if run.rollout is None or winner in (NOBODY, run.declaration.control):
            return
        serving = self.endpoints.serving(run.declaration, run.rollout)
        if serving.over:
            raise Refused(
                "test-candidate-gone",
                f"{winner!r} gets no units any more: {serving.words}",
                context=run.name,
                hint="Bring it there by itself: "
                f"`triune rollout start {run.declaration.endpoint} {run.candidate}`.",
            )

    def mend(self, run: Run) -> None:
        """Make an endpoint what the test's events say; nothing to do when it is so."""
        declared = run.declaration
        if declared.endpoint is None or run.rollout is None:
            return
        release = run.candidate
        if run.running:
            self.endpoints.begin(declared, release, run.rollout, run.actor)
        elif run.winner is not None and run.winner != declared.control:
            words = f"A/B test {run.name}: {run.why}"
            self.endpoints.promote(declared, run.rollout, words, run.ended_by)
        else:
            words = f"A/B test {run.name}: {run.why}"
            self.endpoints.leave(declared, run.rollout, words, run.ended_by)

    def status(self, name: str) -> TestStanding:
        """How the latest run of a test stands, with everything that is in the log by now.

        Raises
        ------
        NotFound: (``test-unknown``).
        """
        return self.standing(self.runs().find(name))

    def standing(self, run: Run) -> TestStanding:
        """How a run stands."""
        period = self.period(run)
        now = microseconds(self.clock.now())
        if period is not None:
            self.ongoing.catch_up(run, period, now)
        tally, position = self.ongoing.look(run, period)
        readings = _readings(tally, position, min(now, run.until or now), self._alarm(run))
        analysis = analyse(run.declaration, readings, self.ongoing.memory(run))
        if period is not None and run.running:
            self.ongoing.remember(run, analysis.memory)
        troubles = (*self._troubles(run), *of_counts(tally.counts, position))
        return TestStanding(
            run=run,
            period=period,
            counts=dict(tally.counts),
            position=position,
            readings=readings,
            analysis=analysis,
            decision=decided(run) or decide(run.declaration, analysis, readings),
            troubles=troubles,
        )

    def period(self, run: Run) -> Period | None:
        """When exposures count; None while the candidate has not got its units."""
        if run.rollout is None:
            return Period(run.since, run.until)
        since, until = self.endpoints.had(run.declaration, run.candidate, run.rollout)
        ends = [end for end in (until, run.until) if end is not None]
        return Period(since, min(ends, default=None)) if since else None

    def catch_up(self, run: Run, *, most: int | None = None) -> int:
        """Bring a run's sums up to the log; events read, -1 when another process does it."""
        period = self.period(run)
        if period is None:
            return 0
        return self.ongoing.catch_up(run, period, microseconds(self.clock.now()), most=most)

    def plan(self, declaration: Declaration) -> Expected:
        """What a test would take at the present traffic. Raises `ConfigError`: its mistakes."""
        from triune.delivery.abtest.past import expected

        found = mistakes(declaration)
        if found:
            raise ConfigError(found)
        return expected(self.log, declaration, microseconds(self.clock.now()))

    def sized(self, declaration: Declaration) -> Declaration:
        """The test with as many planned units as its present traffic brings in its cycle, from 100
        to 10,000 an arm; as it is where there is no traffic."""
        found = self.plan(declaration)
        if not found.units_a_day:
            return declaration
        smallest = min(declaration.shares.values()) / sum(declaration.shares.values())
        units = round(found.units_a_day * max(declaration.cycle_days, 1.0) * smallest)
        planned = min(max(units, FEWEST_UNITS), declaration.planned_units)
        least = min(declaration.minimum_units, planned)
        return replace(declaration, planned_units=planned, minimum_units=least)

    def compare(self, standing: TestStanding) -> Checked:
        """Compute a test's sums anew from the ledger, up to where the stream has read it."""
        from triune.delivery.abtest.backends.duckdb import apart, recomputed

        run, position = standing.run, standing.position
        if standing.period is None:
            return Checked(0.0, 0)
        exact = recomputed(
            self.log,
            reader(run),
            standing.period,
            position.now,
            self.before,
            upto=position.mark,
        )
        declared = run.declaration
        tally = Tally(declared.metrics, declared.shares, declared.labels)
        tally.exposed.update(standing.readings.exposed)
        tally.counts.update(standing.counts)
        tally.cells = dict(standing.readings.cells)
        return Checked(apart(tally, exact), exact.read)

    def path(self, standing: TestStanding, points: int = POINTS) -> list[Look]:
        """A test at moments of equal distance from its first exposure until now, or its end."""
        run, first = standing.run, standing.position.first_at
        if standing.period is None or first is None:
            return []
        end = min(standing.position.now, run.until or standing.position.now)
        return self._looks(reader(run), standing.period, _spread(first, end, points))

    def replay(
        self, declaration: Declaration, since: int, until: int, *, points: int = POINTS
    ) -> list[Look]:
        """A dry run on logged traffic: its units are split as the test would split them, though
        none of them saw anything of it. So no variant should win.

        Raises `ConfigError`: the declaration's mistakes.
        """
        from triune.delivery.abtest.past import Logged

        found = mistakes(declaration)
        if found:
            raise ConfigError(found)
        logged = Logged(declaration, "", {}, declaration.variant_of)
        return self._looks(logged, Period(since, until), _spread(since, until, points))

    def _looks(self, source: Reader, period: Period, moments: Sequence[int]) -> list[Look]:
        from triune.delivery.abtest.past import looks

        declared, memory = source.declaration, None
        found: list[Look] = []
        for moment, tally, position in looks(self.log, source, period, moments, self.before):
            readings = _readings(tally, position, moment, "")
            analysis = analyse(declared, readings, memory)
            memory = analysis.memory
            decision = decide(declared, analysis, readings)
            found.append(Look(moment, readings, analysis, decision))
        return found

    def _alarm(self, run: Run) -> str:
        if run.rollout is None or run.stage is runs.Stage.DECIDED:
            return ""
        serving = self.endpoints.serving(run.declaration, run.rollout)
        return serving.words if serving.over else ""

    def _troubles(self, run: Run) -> list[str]:
        if not run.running:
            return []
        declared = run.declaration
        if run.rollout is not None:
            serving = self.endpoints.serving(declared, run.rollout)
            return [] if serving.now else [f"the candidate gets no units: {serving.words}"]
        flag = self.flags.current().flags.get(declared.flag or "")
        if flag is None:
            words = f"the flag {declared.flag!r} is gone: nobody is exposed; stop the test, or "
            return [words + f"bring it back: `triune flags rollback {declared.flag}`"]
        if not flag.enabled:
            return [f"the flag {declared.flag!r} is off: nobody is exposed"]
        if not rules.is_in(flag, declared, run.id):
            return [f"the rule of the flag {declared.flag!r} is no more the test's"]
        return []

    def _left_unbegun(self, declaration: Declaration) -> Run | None:
        """The same test, recorded by a command that died before its rollout began."""
        for run in self.runs().running:
            same = run.name == declaration.name and run.declaration == declaration
            if same and run.rollout is not None:
                serving = self.endpoints.serving(declaration, run.rollout)
                return None if serving.now or serving.over else run
        return None

    def _against_flag(self, declaration: Declaration, now: FlagSet) -> Sequence[Problem]:
        """What of the declaration is not there among the flags."""
        place = f"tests.{declaration.name}"
        if declaration.flag is None:
            return ()
        flag = now.flags.get(declaration.flag)
        if flag is None:
            words = f"there is no flag {declaration.flag!r}"
            mend = closest(declaration.flag, now.flags)
            return (Problem("triune.toml", f"{place}.flag", words, mend),)
        found = []
        if not flag.enabled:
            words = f"the flag {flag.key!r} is off"
            mend = f"Switch it on: `triune flags enable {flag.key}`."
            found.append(Problem("triune.toml", f"{place}.flag", words, mend))
        for variant in declaration.variants:
            name = variant.flag_variant
            if name is not None and name not in flag.variants:
                words = f"the flag {flag.key!r} has no variant {name!r}"
                mend = closest(name, list(flag.variants))
                found.append(Problem("triune.toml", f"{place}.variants", words, mend))
        return found


def _readings(tally: Tally, position: Position, until: int, alarm: str) -> Readings:
    first = position.first_at
    return Readings(
        exposed=dict(tally.exposed),
        cells=tally.cells,
        days=0.0 if first is None else max(0.0, (until - first) / DAY_US),
        hopped=tally.counts["hopped"],
        alarm=alarm,
    )


def _spread(since: int, until: int, points: int) -> list[int]:
    """Moments of equal distance, the last one at the end."""
    return [since + (until - since) * (place + 1) // points for place in range(points)]
