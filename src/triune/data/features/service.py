"""The use cases of the feature store: apply, materialize, history, get, push."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from triune.core.errors import Conflict, NotFound, Refused
from triune.core.files import locked, own_folder
from triune.core.workspace import Workspace
from triune.data.features import asof, events, intervals, rows
from triune.data.features.asof import Source
from triune.data.features.catalog import Catalog
from triune.data.features.events import Materialized
from triune.data.features.online import plan as plans
from triune.data.features.online.places import place
from triune.data.features.online.plan import Answer, Plan
from triune.data.features.online.ports import Place
from triune.data.features.online.reader import OnlineReader
from triune.data.features.online.writer import OnlineWriter
from triune.data.features.ports import Commits, InUse, Located, Log, Use
from triune.data.features.repo import Settings
from triune.data.features.views import View, differences
from triune.ledger.ports import Query

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

Progress = Callable[[str], None]


def _silent(_: str) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True, slots=True)
class Change:
    """What applying the definitions does to one view: `new`, `changed`, `unchanged`, `removed`.

    ``used`` has the live releases that read the version in force before.
    """

    name: str
    what: str
    before: str | None
    after: str | None
    words: tuple[str, ...] = ()
    used: tuple[Use, ...] = ()


class Features:
    """The feature store of one workspace. Safe to use from several processes at once."""

    def __init__(
        self,
        workspace: Workspace,
        log: Log,
        settings: Settings,
        online_url: str,
        *,
        commit: Commits,
        locate: Located,
        in_use: InUse,
    ) -> None:
        self._workspace = workspace
        self._log = log
        self._settings = settings
        self._online_url = online_url
        self._commit = commit
        self._locate = locate
        self._in_use = in_use
        self.catalog = Catalog(workspace.home / "features")

    @cached_property
    def place(self) -> Place:
        """Where the rows lie."""
        return place(self._online_url)

    @cached_property
    def writer(self) -> OnlineWriter:
        """Writes rows online."""
        return OnlineWriter(self.place)

    @cached_property
    def reader(self) -> OnlineReader:
        """Reads rows online."""
        return OnlineReader(self.place)

    def apply(
        self, *, dry_run: bool = False, beside: bool = False, on_progress: Progress = _silent
    ) -> list[Change]:
        """Make the definitions the current versions; what is unchanged is left alone.

        Idempotent, and safe to kill: the next call finishes it. With ``dry_run`` only tells.
        A change of a view that a live release reads is refused; with ``beside`` the new version
        is applied beside the old, whose rows stay for that release.

        Raises
        ------
        NotFound: (``feature-store-missing``) ``triune.toml`` has no ``[feature_store]``.
        ConfigError: every mistake in the definitions.
        Conflict: (``features-in-use``) with the releases and their endpoints.
        """
        table = self._workspace.config.feature_store
        if table is None:
            raise NotFound(
                "feature-store-missing",
                "triune.toml has no [feature_store] table",
                context=str(self._workspace.root),
                hint='Add it with definitions = ["<module>"], naming the code that defines views.',
            )
        on_progress("reading the definitions")
        from triune.data.features import definitions, repo

        root = self._workspace.root.resolve()
        code = root / self._workspace.config.workspace.code
        found = definitions.read(table.definitions, code, self._settings.project, root)
        with locked(self._workspace.state / "features.lock"):
            changes = self._changes(found.views)
            if dry_run:
                return changes
            _refuse_in_use(changes, beside=beside)
            on_progress("applying them to Feast's registry")
            own_folder(self._workspace.home / "features")
            repo.apply(
                self._settings,
                found.objects,
                changed=[change.name for change in changes if change.what == "changed"],
                intervals=intervals.of_views(self._log, found.views),
            )
            self._record(found.views, changes)
            self.catalog.keep(found.views)
        return changes

    def _changes(self, views: Sequence[View]) -> list[Change]:
        current, used = self.catalog.current(), self._in_use()
        changes = [
            _change(view, current.get(view.name), _users(used, current.get(view.name)))
            for view in views
        ]
        names = {view.name for view in views}
        changes += [
            Change(old.name, "removed", old.version, None, (), _users(used, old))
            for old in current.values()
            if old.name not in names
        ]
        return changes

    def _record(self, views: Sequence[View], changes: Sequence[Change]) -> None:
        """Tell of each version once, however often it is applied."""
        words = {change.name: change.words for change in changes}
        new = [view for view in views if not self._told(view)]
        if not new:
            return
        commit = self._commit()
        told = [
            events.applied(
                view,
                commit.subject,
                self._locate(self._workspace.root / view.table),
                words.get(view.name, ()),
                workspace=self._workspace.name,
            )
            for view in new
        ]
        self._log.record([commit, *told])

    def _told(self, view: View) -> bool:
        query = Query(kind=events.APPLIED, subject=view.ref, limit=1)
        return any(True for _ in self._log.select(query))

    def materialize(
        self,
        names: Sequence[str] = (),
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        on_progress: Progress = _silent,
    ) -> list[Materialized]:
        """Bring the newest value of each entity online, from event times ``start`` to ``end``.

        Defaults: from the end of the last one (with the same version of the view) to now.
        Idempotent, since the newest event time wins: killed, it is simply done again. Feast's
        registry is told of it, and of what it was not told before.

        Raises
        ------
        NotFound: ``feature-view-unknown``, ``features-not-applied``.
        Refused: ``feature-window-reversed``; ``feature-source-missing``, ``feature-source-broken``.
        Unavailable: (``online-store-unreachable``).
        TriuneError: (``feast-registry-behind``) the rows are online, Feast's registry is not told.
        """
        until = _aware(end) if end else datetime.now(UTC)
        since = _aware(start) if start else None
        if since is not None and since > until:
            raise Refused(
                "feature-window-reversed",
                f"the window ends ({until.isoformat()}) before it begins ({since.isoformat()})",
                hint="Give --from the earlier time and --to the later one.",
            )
        done, views = [], self.catalog.find(names)
        for view in views:
            begin = since or self._last_end(view, until)
            on_progress(f"reading {view.name}")
            table = asof.latest(self._source(view), begin, until)
            on_progress(f"writing {table.num_rows} rows of {view.name}")
            written = self.writer.write(view.layout, rows.of_table(view, table))
            event, told = events.materialized(
                view,
                start=begin,
                end=until,
                entities=table.num_rows,
                written=written,
                dataset=self._locate(self._workspace.root / view.table),
                workspace=self._workspace.name,
            )
            self._log.record([event])
            done.append(told)
        on_progress("telling Feast's registry")
        self._tell(views)
        return done

    def _tell(self, views: Sequence[View]) -> None:
        from triune.data.features import repo

        with locked(self._workspace.state / "features.lock"):
            repo.tell(self._settings, intervals.of_views(self._log, views))

    def _last_end(self, view: View, until: datetime) -> datetime | None:
        """Where the last materialisation of this version and this table's content ended."""
        dataset = self._locate(self._workspace.root / view.table)
        cleared = intervals.cleared_at(self._log, view)
        for stored in self._log.select(Query(kind=events.MATERIALIZED, newest_first=True)):
            told = stored.event
            if stored.sequence < cleared:
                return None
            if told.payload["version"] != view.version or told.payload["view"] != view.name:
                continue
            same = dataset is not None and any(e.parent == dataset for e in told.edges)
            end = datetime.fromisoformat(told.payload["end"])
            return end if same and end <= until else None
        return None

    def history(
        self, entities: pd.DataFrame, features: Sequence[str], *, moment: str = "event_timestamp"
    ) -> pd.DataFrame:
        """The entity rows with features (``view`` or ``view:feature``) as known at each moment.

        Every row is kept, in its order; a feature that two views have is named
        ``<view>__<feature>``.

        Raises
        ------
        NotFound: ``feature-view-unknown``, ``feature-unknown``.
        Refused: ``feature-entities-unfit``, ``feature-source-missing``, ``feature-source-broken``.
        """
        _, sources = self.sources(features, self._workspace.root)
        return asof.join(entities, moment, sources)

    def sources(
        self, features: Sequence[str], root: Path, pinned: Mapping[str, View] | None = None
    ) -> tuple[list[str], list[Source]]:
        """What `history` joins: the versions of the views, and their tables below ``root``.

        Raises
        ------
        NotFound: ``feature-view-unknown``, ``feature-unknown``.
        """
        asked = self.catalog.features(features, pinned)
        names = [feature for _, feature in asked]
        by_view: dict[str, tuple[View, dict[str, str]]] = {}
        for view, feature in asked:
            shown = feature if names.count(feature) == 1 else f"{view.name}__{feature}"
            by_view.setdefault(view.name, (view, {}))[1][feature] = shown
        both = by_view.values()
        return [view.ref for view, _ in both], [view.source(root, names) for view, names in both]

    def _source(self, view: View) -> Source:
        return view.source(self._workspace.root)

    def plan(self, features: Sequence[str]) -> Plan:
        """What to read online for these features, worked out once.

        Raises
        ------
        NotFound: ``feature-view-unknown``, ``feature-unknown``.
        """
        asked = self.catalog.features(features)
        layouts = {view.name: view.layout for view, _ in asked}
        return plans.compile(
            list(layouts.values()), [f"{view.name}:{feature}" for view, feature in asked]
        )

    def get(self, entities: Mapping[str, Sequence[Any]], features: Sequence[str]) -> Answer:
        """What serving would read now for these entities (join key -> values).

        Raises
        ------
        NotFound: ``feature-view-unknown``, ``feature-unknown``, ``feature-entity-missing``.
        Unavailable: (``online-store-unreachable``).
        """
        plan = self.plan(features)
        missing = [key for key in plan.join_keys if key not in entities]
        if missing:
            raise NotFound(
                "feature-entity-missing",
                f"no value is given for {', '.join(missing)}",
                hint="Give one for each: --entity " + " --entity ".join(f"{m}=…" for m in missing),
            )
        return self.reader.read(plan, entities)

    def push(self, name: str, table: pa.Table) -> int:
        """Write rows to a view that has a push source; older ones than are there change nothing.

        ``table`` has the keys, the features and the view's column of times. Returns how many
        rows changed something.

        Raises
        ------
        NotFound: ``feature-view-unknown``.
        Refused: ``feature-view-not-pushed``, ``feature-row-unfit``.
        """
        (view,) = self.catalog.find([name])
        if not view.pushed:
            raise Refused(
                "feature-view-not-pushed",
                f"feature view {name!r} has no push source",
                hint="Give it a PushSource in the definitions and apply them.",
            )
        return self.writer.write(view.layout, rows.of_table(view, _timed(view, table)))

    def clear(self, names: Sequence[str] = ()) -> dict[str, int]:
        """Remove every row online of views' current versions; returns how many there were.

        `materialize` brings back what the tables have; pushed and streamed rows are gone. The
        ledger is told first: killed in between, all is only brought online again. Feast's
        registry is told last.

        Raises
        ------
        NotFound: ``feature-view-unknown``, ``features-not-applied``.
        Unavailable: (``online-store-unreachable``).
        TriuneError: (``feast-registry-behind``) the rows are gone, Feast's registry is not told.
        """
        from triune.data.features import repo

        views = self.catalog.find(names)
        self._log.record([events.cleared(view, workspace=self._workspace.name) for view in views])
        gone = {view.name: self.place.drop(self._project, view.layout.field) for view in views}
        with locked(self._workspace.state / "features.lock"):
            repo.forget(self._settings, list(gone))
        return gone

    @property
    def _project(self) -> str:
        return self._settings.project

    def close(self) -> None:
        """Give back connections."""
        if "place" in self.__dict__:
            self.place.close()


def _change(view: View, before: View | None, used: tuple[Use, ...]) -> Change:
    if before is None:
        return Change(view.name, "new", None, view.version)
    if before.version == view.version:
        return Change(view.name, "unchanged", before.version, view.version)
    words = differences(before, view)
    return Change(view.name, "changed", before.version, view.version, words, used)


def _users(used: Sequence[Use], view: View | None) -> tuple[Use, ...]:
    return tuple(use for use in used if view is not None and use.view == view.ref)


def _refuse_in_use(changes: Sequence[Change], *, beside: bool) -> None:
    used = [(change, use) for change in changes for use in change.used]
    if not used or beside:
        return
    told = "; ".join(
        f"{change.name} is {change.what}, and {use.release} reads it at {use.endpoint}"
        for change, use in used
    )
    raise Conflict(
        "features-in-use",
        f"live releases depend on what would change: {told}",
        hint="`--beside` applies the new version beside the old, which stays for them; then "
        "make and roll out releases that read the new one.",
    )


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _timed(view: View, table: pa.Table) -> pa.Table:
    """Pushed rows with their times as `rows.of_table` wants them."""
    import pyarrow as pa

    def times(name: str) -> Any:
        column = table[name]
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            column = column.cast(pa.timestamp("us", tz="UTC"))
        return column.cast(pa.timestamp("us", tz="UTC"), safe=False).cast(pa.int64())

    for name, shown in ((view.time, rows.EVENT), (view.created, rows.CREATED)):
        if name and name in table.column_names:
            try:
                table = table.append_column(shown, times(name))
            except pa.ArrowException as error:
                raise rows.unfit(view, f"column {name} holds no times: {error}", "") from error
    if rows.EVENT not in table.column_names:
        raise rows.unfit(view, f"column {view.time} is missing", ", ".join(table.column_names))
    return table
