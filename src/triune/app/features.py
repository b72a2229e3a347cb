"""The feature store with its ports plugged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from triune.core.errors import Refused, TriuneError
from triune.data.features.ports import Use
from triune.data.features.repo import Settings
from triune.data.features.service import Features
from triune.data.features.views import View
from triune.delivery.ports import Pinned
from triune.delivery.release import Online
from triune.ledger.envelope import Event
from triune.models.serving.spec import OnlineSpec
from triune.models.training.spec import HistorySpec

if TYPE_CHECKING:
    from triune.app.context import Context


def use_cases(context: Context) -> Features:
    """The feature store of a workspace."""
    return Features(
        context.workspace,
        context.ledger,
        settings(context),
        context.addresses.online_url,
        commit=lambda: commit(context),
        locate=lambda path: dataset_of(context, path),
        in_use=lambda: in_use(context),
    )


def settings(context: Context) -> Settings:
    """Where Feast finds its registry and our online store."""
    addresses = context.addresses
    parts = urlsplit(addresses.online_url)
    shown = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    secret = addresses.secret_file("valkey") if addresses.redis_url else None
    return Settings(
        project=context.workspace.name,
        root=context.workspace.root.resolve(),
        registry=addresses.feature_registry_url,
        online=addresses.online_url if addresses.redis_url is None else shown,
        password_file=secret,
    )


def commit(context: Context) -> Event:
    """The event that tells of the code as it stands."""
    from triune.models import provenance

    workspace = context.workspace
    found = provenance.current(workspace.root)
    return provenance.store(found, workspace.state / "commits", workspace=workspace.name)


def dataset_of(context: Context, path: Path) -> str | None:
    """The recorded version of the dataset that a file belongs to."""
    whole = path.resolve()
    for name in context.data.names():
        folder = context.data.path(name).resolve()
        if whole == folder or folder in whole.parents:
            try:
                return context.data.recorded(name).ref
            except TriuneError:
                return None
    return None


def in_use(context: Context) -> list[Use]:
    """Every view version that a release reads which serves, may serve soon, or is kept."""
    found = []
    for state in context.delivery.tools.store.all():
        pending = state.pending.arm if state.pending else None
        for arm in (state.live, state.previous, pending):
            if arm is not None:
                bundle = context.delivery.releases.get(arm.release).bundle
                found += [Use(state.endpoint, arm.release, ref) for ref in bundle.features]
    return found


def pinned(context: Context, features: Sequence[str]) -> Pinned:
    """The versions of views that are applied now, for a release to pin.

    Raises
    ------
    Refused: (``release-online-unfit``) two of them have a feature of one name: one input.
    """
    asked = context.features.catalog.features(features)
    names = [feature for _, feature in asked]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        both = [view.name for view, feature in asked if feature == twice[0]]
        raise Refused(
            "release-online-unfit",
            f"feature {twice[0]!r} is looked up in {' and '.join(both)}, and feeds one input",
            hint="Name single features, `view:feature`, in the endpoint's `features`.",
        )
    views = {view.name: view for view, _ in asked}
    return Pinned(
        tuple(view.ref for view in views.values()),
        tuple(view.layout.to_json() for view in views.values()),
        {feature: f"{view.name}:{feature}" for view, feature in asked},
        {feature: dict(view.features)[feature] for view, feature in asked},
        {key: kind for view in views.values() for key, kind in view.keys},
    )


def history_spec(
    context: Context,
    features: Sequence[str],
    *,
    root: Path | None = None,
    pinned: Mapping[str, View] | None = None,
) -> HistorySpec:
    """What a training needs to join features of the past, by tables below ``root``.

    Raises
    ------
    NotFound: ``feature-view-unknown``, ``feature-unknown``, ``features-not-applied``.
    """
    place = root or context.workspace.root.resolve()
    refs, sources = context.features.sources(features, place, pinned)
    return HistorySpec(
        join="triune.data.features.asof:joining",
        sources=tuple(asdict(source) for source in sources),
        refs=tuple(refs),
    )


def online_spec(context: Context, online: Online) -> OnlineSpec:
    """What a model server needs to look features up."""
    found = settings(context)
    return OnlineSpec(
        factory="triune.data.features.online.serving:FeatureLookup",
        settings={
            "url": found.online,
            "password_file": str(found.password_file.resolve()) if found.password_file else None,
            "timeout": online.timeout_ms / 1000,
            "layouts": [dict(layout) for layout in online.layouts],
            "features": dict(online.features),
        },
        entities=dict(online.entities),
        features=tuple(online.features),
        refuse=online.missing == "refuse",
    )
