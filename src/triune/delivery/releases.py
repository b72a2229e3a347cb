"""Making and finding releases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from triune.core.config import EndpointTable
from triune.core.errors import NotFound, Refused
from triune.core.ids import kind_of
from triune.core.workspace import Workspace
from triune.delivery.fitting import refuse_misfits
from triune.delivery.ports import Log, Missing, Models, ModelVersion, Views
from triune.delivery.release import (
    Bundle,
    BundleStore,
    Input,
    Online,
    Pin,
    Release,
    Serving,
    tampered,
)
from triune.ledger.envelope import Edge, event
from triune.ledger.ports import Query

CREATED = "release.created"


@dataclass(frozen=True, slots=True)
class Listed:
    """A release as its event tells it."""

    ref: str
    endpoint: str
    model: str
    created: datetime
    actor: str
    forced: bool


class Releases:
    """The releases of a workspace: bundles on disk, their making in the ledger."""

    def __init__(
        self,
        workspace: Workspace,
        log: Log,
        models: Models,
        missing: Missing,
        views: Views | None = None,
    ) -> None:
        self._workspace = workspace
        self._log = log
        self._models = models
        self._missing = missing
        self._views = views
        self._bundles = BundleStore(workspace.state / "releases")

    def create(
        self, endpoint: str, model: str, *, force: bool = False, actor: str | None = None
    ) -> Release:
        """Freeze a model version with the endpoint's present settings into a release.

        The same ingredients give the same release: making it again records nothing new.

        Raises
        ------
        NotFound: (``endpoint-not-declared``) the endpoint is not in ``triune.toml``.
        NotFound: ``features-not-applied``, ``feature-view-unknown``, ``feature-unknown``.
        Refused: (``release-ancestry-incomplete``) unless forced; the force is recorded.
        Refused: (``release-online-unfit``) what it looks up are no inputs of the endpoint.
        Refused: (``release-feature-unfit``) a feature's type cannot feed the input of its name.
        Refused: whatever the registry refuses the model for.
        """
        version = self._models.resolve(model)
        self._models.verify(version)
        bundle = self._bundle(endpoint, version)
        missing = self._gaps(bundle)
        if missing and not force:
            raise Refused(
                "release-ancestry-incomplete",
                f"the lineage of {version.ref} lacks {', '.join(missing)}",
                context=endpoint,
                hint="Train it again from versioned data, or pass --force, which is recorded.",
            )
        release = self._bundles.add(bundle)
        if self._event(release.ref) is None:
            self._record(release, missing, actor)
        return release

    def get(self, ref: str) -> Release:
        """A release whose bytes still match the digest it was recorded with."""
        release = self._bundles.get(ref)
        recorded = self._event(release.ref)
        if recorded is not None and recorded["digest"] != release.digest:
            raise tampered(release.ref, release.path)
        return release

    def for_endpoint(self, endpoint: str, ref: str) -> Release:
        """A release that may serve this endpoint.

        Raises
        ------
        Refused: (``release-other-endpoint``) it was made for another one.
        """
        release = self.get(ref)
        if release.bundle.endpoint != endpoint:
            raise Refused(
                "release-other-endpoint",
                f"{release.ref} was made for {release.bundle.endpoint}, not for {endpoint}",
                hint=f"Create one: `triune release create {endpoint} --model ...`.",
            )
        return release

    def all(self, endpoint: str | None = None) -> Iterator[Listed]:
        """Releases, the newest first."""
        for stored in self._log.select(Query(kind=CREATED, newest_first=True)):
            made = stored.event
            if endpoint in (None, made.payload["endpoint"]):
                yield Listed(
                    ref=made.subject,
                    endpoint=made.payload["endpoint"],
                    model=made.payload["model"],
                    created=made.at,
                    actor=made.actor,
                    forced=bool(made.payload.get("forced")),
                )

    def locate(self, pin: Pin) -> ModelVersion:
        """Where the registered version behind a pin lies; its bytes are not looked at."""
        return self._models.resolve(pin.ref)

    def model(self, pin: Pin) -> ModelVersion:
        """The registered version behind a pin, its signature and digest checked anew."""
        version = self.locate(pin)
        if version.digest != pin.digest:
            raise Refused(
                "release-model-changed",
                f"{pin.ref} is not the model the release was made with",
                context=str(version.folder),
                hint="Restore the model's folder from a backup, or release a new version.",
            )
        self._models.verify(version)
        return version

    def _bundle(self, endpoint: str, version: ModelVersion) -> Bundle:
        table = settings(self._workspace, endpoint)
        parents = {edge.parent for edge in self._log.ancestors(version.ref)}
        commits = sorted(ref for ref in parents if kind_of(ref) == "commit")
        run_commits = self._run_commits(version.ref)
        online, pinned = self._online(endpoint, table)
        trained = {ref for ref in parents if kind_of(ref) == "features"}
        return Bundle(
            endpoint=endpoint,
            model=Pin(version.ref, version.digest),
            serving=self._serving(table, online),
            features=tuple(sorted(trained | set(pinned))),
            commit=(run_commits or commits or [""])[0],
        )

    def _run_commits(self, model: str) -> list[str]:
        """The commit of the run that made the model; features may name others."""
        edges = self._log.ancestors(model)
        runs = {edge.parent for edge in edges if edge.child == model}
        return sorted(e.parent for e in edges if e.child in runs and e.role == "commit")

    def _online(self, endpoint: str, table: EndpointTable) -> tuple[Online | None, tuple[str, ...]]:
        """What the endpoint looks up, with the versions that are applied now."""
        if table.online is None or self._views is None:
            return None, ()
        pinned = self._views(table.online.features)
        inputs = {one.name for one in table.inputs}
        strange = [name for name in pinned.features if name not in inputs]
        strange += [name for name in table.online.entities.values() if name not in inputs]
        if strange:
            raise Refused(
                "release-online-unfit",
                f"{', '.join(strange)}: looked up or asked by, and no input of the endpoint",
                context=f'[endpoints."{endpoint}".online]',
                hint="Name features as the inputs they fill, and declare every input.",
            )
        refuse_misfits(endpoint, pinned, table.online.entities, table.inputs)
        online = Online(
            dict(table.online.entities),
            pinned.features,
            pinned.layouts,
            table.online.missing.value,
            table.online.timeout_ms,
        )
        return online, pinned.refs

    def _serving(self, table: EndpointTable, online: Online | None) -> Serving:
        fallback = None
        if table.fallback:
            version = self._models.resolve(table.fallback)
            self._models.verify(version)
            fallback = Pin(version.ref, version.digest)
        return Serving(
            workers=table.workers,
            deadline_ms=table.deadline_ms,
            fallback=fallback,
            max_body_bytes=table.max_body_bytes,
            max_rows=table.max_rows,
            inputs=tuple(Input(i.name, i.datatype.value, i.width) for i in table.inputs),
            online=online,
        )

    def _gaps(self, bundle: Bundle) -> list[str]:
        gaps = list(self._missing(bundle.model.ref))
        if bundle.serving.online is not None:
            gaps += [gap for ref in bundle.features for gap in self._missing(ref)]
            gaps = list(dict.fromkeys(gaps))
        if not bundle.commit and "commit" not in gaps:
            gaps.append("commit")
        return gaps

    def _event(self, ref: str) -> dict[str, Any] | None:
        for stored in self._log.select(Query(kind=CREATED, subject=ref, limit=1)):
            return dict(stored.event.payload)
        return None

    def _record(self, release: Release, missing: list[str], actor: str | None) -> None:
        bundle = release.bundle
        edges = [Edge(release.ref, bundle.model.ref, "model")]
        edges += [Edge(release.ref, ref, "features") for ref in bundle.features]
        if bundle.commit:
            edges.append(Edge(release.ref, bundle.commit, "commit"))
        payload: dict[str, Any] = {
            "endpoint": bundle.endpoint,
            "model": bundle.model.ref,
            "digest": release.digest,
            "forced": bool(missing),
        }
        if missing:
            payload["missing"] = missing
        made = event(
            CREATED,
            release.ref,
            workspace=self._workspace.name,
            actor=actor,
            payload=payload,
            edges=tuple(edges),
        )
        self._log.record([made])


def settings(workspace: Workspace, endpoint: str) -> EndpointTable:
    """What ``triune.toml`` says of an endpoint.

    Raises
    ------
    NotFound: (``endpoint-not-declared``) it says nothing.
    """
    table = workspace.config.endpoints.get(endpoint)
    if table is None:
        known = ", ".join(workspace.config.endpoints) or "none"
        raise NotFound(
            "endpoint-not-declared",
            f"triune.toml declares no endpoint {endpoint!r}",
            context=str(workspace.root),
            hint=f'Add [endpoints."{endpoint}"], or use one of: {known}.',
        )
    return table


def settings_in_force(workspace: Workspace, endpoint: str) -> EndpointTable:
    """`settings`, or the defaults: an endpoint that is no longer declared may still have users."""
    table = workspace.config.endpoints.get(endpoint)
    return table or EndpointTable(model="undeclared")
