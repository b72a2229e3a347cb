"""Shipping: what lies in runs' journals goes into the tracker, all of it and each thing once.

How far a run has come is a file beside its journal, written after the tracker has the frames:
a shipper that dies in between sends some of them again, which changes nothing there.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from triune.core.errors import NotFound, Refused
from triune.core.files import locked, read_json, write_json
from triune.core.ids import digest_file, digest_tree, key_of
from triune.core.workspace import Workspace
from triune.ledger.envelope import Event
from triune.ledger.ports import Position, Query
from triune.models.once import told_once
from triune.models.tracking import journal
from triune.models.tracking.catalog import RunCatalog
from triune.models.tracking.folders import Mark, RunFolders
from triune.models.tracking.frames import Artifact, Finish, Frame, Metrics, Params, Tags
from triune.models.tracking.model import RunStatus
from triune.models.tracking.ports import Point, Tracker

AT_ONCE = 2000
READER = "mlflow-registry"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Shipped:
    """How far a run has come: the tracker's id, the journal's offset, whether all is there,
    and which tracker that is said of."""

    mlflow_id: str | None = None
    offset: int = 0
    complete: bool = False
    tracker: str = ""


@dataclass(frozen=True, slots=True)
class Shipping:
    """Progress over all runs that still had something to ship, in bytes of their journals."""

    run: str
    done: int
    total: int


OnShipping = Callable[[Shipping], None]


def _silent(_: Shipping) -> None:
    """Progress that nobody watches."""


@dataclass
class _Load:
    """Frames gathered for one call of the tracker."""

    points: list[Point] = field(default_factory=list)
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    artifacts: list[Artifact] = field(default_factory=list)
    finish: Finish | None = None
    offset: int = 0

    def take(self, frame: Frame, end: int) -> None:
        self.offset = end
        match frame:
            case Metrics(time=time, step=step, values=values):
                self.points += [Point(name, v, time, step) for name, v in values.items()]
            case Params(values=values):
                for name, value in values.items():
                    self.params.setdefault(name, str(value))
            case Tags(values=labels):
                self.tags |= labels
            case Artifact():
                self.artifacts.append(frame)
            case Finish():
                self.finish = self.finish or frame


class Shipper:
    """Brings the runs and model versions of one workspace into a tracker.

    One shipper works at a time in a workspace, whatever process it is in.
    """

    def __init__(self, workspace: Workspace, catalog: RunCatalog, tracker: Tracker) -> None:
        self._workspace = workspace
        self._catalog = catalog
        self._ledger = catalog.ledger
        self._tracker = tracker
        self._folders = RunFolders(workspace)
        self._refused: set[str] = set()

    def has_news(self) -> bool:
        """Whether a journal has grown, a run's process died or a model changed; cheap."""
        return (
            any(self._waiting(i) for i in self._folders.marked(Mark.UNSHIPPED))
            or self._catalog.has_dead()
            or next(self._model_events(), None) is not None
        )

    def ship_all(self, on_progress: OnShipping = _silent) -> int:
        """Ship everything there is; returns how many runs had something.

        Raises
        ------
        Unavailable: (``mlflow-unreachable``) the rest is shipped the next time.
        """
        with locked(self._workspace.state / "runs" / "shipping.lock"):
            self._begin_anew_elsewhere()
            self._catalog.catch_up()
            waiting = {
                i: size for i in self._folders.marked(Mark.UNSHIPPED) if (size := self._waiting(i))
            }
            total, done = sum(waiting.values()), 0
            for identifier, size in waiting.items():
                before = done
                for sent in self._ship_or_leave(identifier):
                    on_progress(Shipping(identifier, before + min(sent, size), total))
                done = before + size
            self._mirror_models()
            return len(waiting)

    def _begin_anew_elsewhere(self) -> None:
        """With another tracker than the last time, every run is to be shipped."""
        note = self._workspace.state / "runs" / "tracker.json"
        last = read_json(note)
        if last == self._tracker.identity:
            return
        if last is not None:
            for identifier in self._folders.ids():
                self._folders.mark(identifier, Mark.UNSHIPPED)
        write_json(note, self._tracker.identity)

    def _ship_or_leave(self, identifier: str) -> Iterator[int]:
        """`_ship`; a run the tracker lost is sent again, one that it refuses is left alone."""
        try:
            yield from self._ship(identifier)
        except NotFound as lost:
            _log.warning("run %s: %s", identifier, lost.message)
            self._note(identifier, Shipped())
            yield from self._ship(identifier)
        except Refused as refusal:
            _log.warning("run %s: %s", identifier, refusal.message)
            self._refused.add(identifier)

    def _waiting(self, identifier: str) -> int:
        """Bytes of the journal not shipped yet, or 1 when only the end is to be told; a run
        that has gone altogether has none."""
        path = self._folders.journal(identifier)
        if identifier in self._refused:
            return 0
        if not path.is_file():
            self._folders.unmark(identifier, Mark.UNSHIPPED)
            return 0
        shipped = self._shipped(identifier)
        return path.stat().st_size - shipped.offset or int(shipped.complete)

    def _shipped(self, identifier: str) -> Shipped:
        known = read_json(self._folders.shipped(identifier))
        here = known is not None and known.get("tracker") == self._tracker.identity
        return Shipped(**known) if here else Shipped()

    def _note(self, identifier: str, shipped: Shipped) -> None:
        known = asdict(replace(shipped, tracker=self._tracker.identity))
        write_json(self._folders.shipped(identifier), known)

    def _ship(self, identifier: str) -> Iterator[int]:
        """Ship one run as far as its journal goes; yields bytes shipped so far."""
        shipped = self._shipped(identifier)
        tracked, complete = self._tracked(identifier, shipped), shipped.complete
        for load in _loads(self._folders.journal(identifier), shipped.offset):
            self._send(identifier, tracked, load)
            if load.finish is not None:
                self._tracker.end(tracked, RunStatus(load.finish.status), load.finish.time)
                complete = True
            self._note(identifier, Shipped(tracked, load.offset, complete))
            yield load.offset - shipped.offset
        if complete:
            self._tell_complete(identifier, tracked)
            self._folders.unmark(identifier, Mark.UNSHIPPED)

    def _tracked(self, identifier: str, shipped: Shipped) -> str:
        """The tracker's id of the run, created there at first."""
        if shipped.mlflow_id is not None:
            return shipped.mlflow_id
        record = self._catalog.get(identifier)
        begun_before = self._folders.shipped(identifier).is_file()
        if not begun_before:
            self._note(identifier, shipped)
        tracked = (self._tracker.find(identifier) if begun_before else None) or (
            self._tracker.create(record)
        )
        self._note(identifier, Shipped(tracked, shipped.offset))
        self._catalog.index(record)
        return tracked

    def _send(self, identifier: str, tracked: str, load: _Load) -> None:
        self._tracker.log(tracked, points=load.points, params=load.params, tags=load.tags)
        for artifact in load.artifacts:
            path = self._folders.artifacts(identifier) / artifact.name
            if _is_as_recorded(path, artifact.digest):
                self._tracker.keep(tracked, artifact.name, path)
            else:
                _log.warning("run %s: artifact %s was replaced", identifier, artifact.name)

    def _tell_complete(self, identifier: str, tracked: str) -> None:
        told = told_once(
            self._folders.folder(identifier) / f"shipped-{self._tracker.identity}.json",
            "run.shipped",
            f"run:{identifier}",
            workspace=self._workspace.name,
            payload={"mlflow_id": tracked},
        )
        self._ledger.record([told])
        self._catalog.index(self._catalog.get(identifier))

    @property
    def _reader(self) -> str:
        return f"{READER}:{self._tracker.identity}"

    def _model_events(self) -> Iterator[tuple[int, Event]]:
        after = int(self._ledger.position(self._reader) or 0)
        for stored in self._ledger.select(Query(kind="model.*", after=after)):
            yield stored.sequence, stored.event

    def _mirror_models(self) -> None:
        """Versions and aliases that the tracker's registry does not have yet."""
        for sequence, told in list(self._model_events()):
            facts = told.payload
            if told.kind == "model.registered":
                self._mirror_version(facts)
            elif told.kind == "model.aliased":
                alias, number = str(facts["alias"]), int(facts["version"])
                self._tracker.mirror_alias(str(facts["name"]), alias, number)
            self._ledger.record([], position=Position(self._reader, str(sequence)))

    def _mirror_version(self, facts: Mapping[str, Any]) -> None:
        name, number = str(facts["name"]), int(facts["version"])
        run = key_of(str(facts["run"]))
        if not self._shipped(run).complete and self._folders.journal(run).is_file():
            for _ in self._ship_or_leave(run):
                pass
        tracked = self._shipped(run).mlflow_id
        if tracked is None:
            _log.warning("model %s version %s: its run is not here any more", name, number)
            return
        card = self._workspace.artifacts / name / str(number) / "card.md"
        text = card.read_text(encoding="utf-8") if card.is_file() else ""
        ref = f"model:{name}@{number}"
        self._tracker.mirror_version(name, number, ref=ref, tracked=tracked, card=text)


def _loads(path: Path, offset: int) -> Iterator[_Load]:
    """The journal's frames behind ``offset`` in loads; the last frame ends a load."""
    load = _Load()
    for frame, end in journal.read(path, offset):
        load.take(frame, end)
        if len(load.points) >= AT_ONCE or load.finish is not None:
            yield load
            load = _Load()
    if load.offset:
        yield load


def _is_as_recorded(path: Path, digest: str) -> bool:
    if path.is_dir():
        return digest_tree(path) == digest
    return path.is_file() and digest_file(path) == digest
