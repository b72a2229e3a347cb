"""Gathering a report from the ledger, the run journals and a replay's records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from triune.app import abtests
from triune.app.replay import records
from triune.app.replay.model import Record
from triune.app.report import data, rollouts, traffic, trials
from triune.app.report.facts import LoopFacts, Part
from triune.app.report.model import (
    CardView,
    LineageView,
    ReleaseView,
    Report,
    RunView,
)
from triune.core.errors import NotFound
from triune.core.ids import key_of
from triune.core.rollout_config import Strategy
from triune.delivery.rollout.model import define
from triune.delivery.rollout.shadow_gate import Limits
from triune.ledger.envelope import Event
from triune.ledger.ports import Query
from triune.stats.auc import Area, area

if TYPE_CHECKING:
    from triune.app.context import Context
    from triune.app.report.abtest import TestReport
    from triune.models.tracking.model import RunRecord

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
PACKAGES_SHOWN = ("mlflow", "scikit-learn", "onnxruntime", "pandas", "numpy", "dvc")
ROLLOUT_KINDS = "rollout.*"
AREA_METRIC = "auc"
"""What a run calls its AUC on data that it held out, if it measures one."""


@dataclass(frozen=True)
class Gatherer:
    """Reads what happened at one endpoint since a moment."""

    ctx: Context
    loop: LoopFacts | None
    endpoint: str

    def report(self) -> Report:
        """Everything, as far as it is known."""
        cut = traffic.cut(self._records)
        releases = self._releases
        by_ref = {release.ref: release for release in releases}
        smoke, marks, rollbacks = rollouts.tell(self._rollouts, by_ref)
        failing = rollouts.while_failing(self._records, rollbacks)
        own = sum(map(rollouts.candidates_own, self._records))
        return Report(
            workspace=self.ctx.workspace.name,
            endpoint=self.endpoint,
            made=datetime.now(UTC),
            loop=self.loop.id if self.loop else "",
            checks=self.loop.checks if self.loop else (),
            steps=self.loop.steps if self.loop else (),
            traffic=cut,
            bad_planned=(cut.failed + cut.lost - failing - own) if cut else 0,
            bad_failing=failing,
            bad_candidate=own,
            outcomes=len(self._outcomes),
            releases=releases,
            marks=marks,
            smoke=smoke,
            rollbacks=rollbacks,
            shadows=trials.shadows(self._rollouts, by_ref, self._limits),
            canaries=trials.canaries(self._rollouts, by_ref, self._explained),
            tests=tuple(self._tests()),
            runs=tuple(self._runs()),
            cards=tuple(self._cards()),
            data=data.rows(self._of_data()),
            lineage=self._lineage(),
            verdict=self._verdict[0],
            verdict_words=self._verdict[1],
            environment=self._environment(),
        )

    @cached_property
    def _since(self) -> int:
        """The report's first moment, in microseconds since 1970."""
        if self.loop:
            return round(self.loop.started * 1e6)
        first = next(iter(self._records), None)
        return first.sent - 60_000_000 if first else 0

    @cached_property
    def _records(self) -> list[Record]:
        path = self.loop.records if self.loop else None
        if path is None:
            newest = (s for s in records.summaries(self.ctx.workspace))
            path = next((Path(s.records) for s in newest if s.endpoint == self.endpoint), None)
        return list(records.read(path)) if path and path.exists() else []

    def _events(self, kind: str) -> Iterable[Event]:
        since = self._since
        for stored in self.ctx.ledger.select(Query(kind=kind, since=since)):
            if stored.event.payload.get("endpoint") == self.endpoint:
                yield stored.event

    def _tests(self) -> Iterator[TestReport]:
        """Every A/B test of the endpoint."""
        for run in self.ctx.abtests.runs().all:
            if run.declaration.endpoint == self.endpoint and run.since >= self._since:
                yield abtests.report_of(self.ctx, run)

    def _of_data(self) -> Iterator[Event]:
        for kind in data.WRITERS:
            for stored in self.ctx.ledger.select(Query(kind=kind, since=self._since)):
                yield stored.event

    @cached_property
    def _rollouts(self) -> list[Event]:
        return list(self._events(ROLLOUT_KINDS))

    @property
    def _explained(self) -> Mapping[str, Sequence[str]]:
        return self.loop.explained if self.loop else {}

    @property
    def _limits(self) -> Limits:
        """What a shadow may differ by, as ``triune.toml`` has it now."""
        table = self.ctx.workspace.config.endpoints[self.endpoint].rollout
        wanted = define(table, Strategy.SHADOW)
        return Limits(
            pairs=wanted.shadow_pairs,
            disagreement=wanted.shadow_disagreement,
            failures=wanted.shadow_failures,
            alpha=wanted.alpha,
        )

    @cached_property
    def _outcomes(self) -> list[tuple[str, float, bool]]:
        """Prediction id, what was predicted, and whether it came true, as the ledger has it."""
        return [
            (key_of(event.subject), float(event.payload["predicted"]), event.payload["value"] > 0)
            for event in self._events("outcome.observed")
            if event.payload.get("predicted") is not None
        ]

    @cached_property
    def _releases(self) -> tuple[ReleaseView, ...]:
        letters = {part.release: part.letter for part in self._parts if part.release}
        subjects = [event.subject for event in self._rollouts]
        order = [ref for ref in subjects if ref.startswith("release:")]
        order += [record.release for record in self._records if record.release]
        for ref in dict.fromkeys(order):
            if ref not in letters:
                letters[ref] = next((x for x in LETTERS if x not in letters.values()), "?")
        areas = self._areas()
        counts: dict[str, int] = {}
        for record in self._records:
            if record.good:
                counts[record.release] = counts.get(record.release, 0) + 1
        fates = rollouts.fates(self._rollouts)
        made = [
            self._release(ref, letter, fates.get(ref, ""), counts.get(ref, 0), areas.get(ref))
            for ref, letter in letters.items()
        ]
        return tuple(sorted(made, key=lambda release: release.letter))

    def _release(
        self, ref: str, letter: str, fate: str, answered: int, found: Area | None
    ) -> ReleaseView:
        model = self._parent(ref, "model")
        run = self._parent(model, "run") if model else ""
        return ReleaseView(
            letter=letter,
            colour=LETTERS.find(letter) if letter in LETTERS else len(LETTERS),
            ref=ref,
            model=model,
            run=run,
            training=self._training(run),
            fate=fate,
            answered=answered,
            area=found,
            held_out=self._held_out(run),
        )

    @property
    def _parts(self) -> tuple[Part, ...]:
        return self.loop.parts if self.loop else ()

    def _areas(self) -> dict[str, Area]:
        """AUC by release, of the outcomes that are known."""
        release_of = {record.prediction: record.release for record in self._records}
        scores: dict[str, tuple[list[float], list[bool]]] = {}
        for prediction, predicted, positive in self._outcomes:
            if prediction in release_of:
                lists = scores.setdefault(release_of[prediction], ([], []))
                lists[0].append(predicted)
                lists[1].append(positive)
        found = {ref: area(*lists) for ref, lists in scores.items()}
        return {ref: one for ref, one in found.items() if one is not None}

    def _parent(self, ref: str, role: str) -> str:
        edges = self.ctx.ledger.parents([ref])
        return next((edge.parent for edge in edges if edge.role == role), "")

    def _record(self, run: str) -> RunRecord | None:
        if not run:
            return None
        try:
            return self.ctx.runs.get(run)
        except NotFound:
            return None

    def _training(self, run: str) -> str:
        record = self._record(run)
        return record.details.get("training", record.name) if record else ""

    def _held_out(self, run: str) -> float | None:
        record = self._record(run)
        return record.metrics.get(AREA_METRIC) if record else None

    def _runs(self) -> Iterable[RunView]:
        refs = {part.run: part.letter for part in self._parts if part.run}
        for release in self._releases:
            if release.run:
                refs.setdefault(release.run, release.letter)
        for ref, letter in sorted(refs.items(), key=lambda item: item[1]):
            record = self._record(ref)
            if record is None:
                continue
            yield RunView(
                letter=letter,
                colour=LETTERS.find(letter),
                ref=ref,
                training=record.details.get("training", record.name),
                seconds=record.seconds,
                params=record.params,
                metrics=record.metrics,
                history=self.ctx.runs.history(record.id),
            )

    def _cards(self) -> Iterable[CardView]:
        for release in self._releases:
            if not release.model:
                continue
            try:
                version = self.ctx.registry.get(release.model)
            except NotFound:
                continue
            if version.card.is_file():
                text = version.card.read_text(encoding="utf-8")
                yield CardView(release.letter, release.css, release.model, text)

    def _lineage(self) -> LineageView | None:
        prediction = self.loop.prediction if self.loop else ""
        if not prediction:
            good = (record for record in reversed(self._records) if record.good)
            newest = next(good, None)
            prediction = f"prediction:{newest.prediction}" if newest else ""
        if not prediction:
            return None
        edges = tuple(self.ctx.ledger.ancestors(prediction))
        gaps = tuple(f"{gap.ref}: {gap.what}" for gap in self.ctx.ledger.missing(prediction))
        return LineageView(prediction, edges, gaps) if edges else None

    @cached_property
    def _verdict(self) -> tuple[str, str]:
        query = Query(kind="run.reproduced", since=self._since, newest_first=True, limit=1)
        event = next((stored.event for stored in self.ctx.ledger.select(query)), None)
        if event is None:
            return (self.loop.verdict, self.loop.verdict_words) if self.loop else ("", "")
        return str(event.payload["verdict"]), _reproduced_words(event)

    def _environment(self) -> Mapping[str, str]:
        refs = {self._parent(release.run, "environment") for release in self._releases} - {""}
        facts: dict[str, str] = {"workspace": str(self.ctx.workspace.root)}
        facts["profile"] = self.ctx.addresses.profile.value
        query = Query(kind="environment.recorded", newest_first=True)
        found = (s.event for s in self.ctx.ledger.select(query) if s.event.subject in refs)
        for event in found:
            facts |= _software(event)
            break
        return facts


def _reproduced_words(event: Event) -> str:
    payload = event.payload
    words = [f"{event.subject}, done again in {payload['seconds']:.1f} s"]
    words += [f"Compared: {'; '.join(payload['compared'])}"] if payload.get("compared") else []
    words += [f"{one['where']}: {one['what']}" for one in payload.get("findings", [])[:5]]
    changed = payload.get("environment", [])
    words.append(f"{len(changed)} differences in the environment" if changed else "")
    return ". ".join(word for word in words if word) + "."


def _software(event: Event) -> dict[str, str]:
    payload: Mapping[str, Any] = event.payload
    packages = payload.get("packages", {})
    shown = {name: str(packages[name]) for name in PACKAGES_SHOWN if name in packages}
    return {
        "environment": event.subject,
        "Python": str(payload.get("python", "")),
        "platform": str(payload.get("platform", "")),
        "packages": str(len(packages)),
        "lock": str(payload.get("lock") or "none"),
        **shown,
    }
