"""The view versions that were applied, in small files: who reads them needs no Feast.

    .triune/features/views/<view>@<version>.json    one for each version, never changed
    .triune/features/current.json                   view -> version now applied

A version's file is written before `current.json` names it: kill -9 leaves the old or the new.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from triune.core.errors import NotFound
from triune.core.files import inside, read_json, write_json
from triune.core.mistakes import closest
from triune.data.features.views import View


class Catalog:
    """The applied versions of one workspace."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def current(self) -> dict[str, View]:
        """The version of each view that is applied now, by name."""
        names = read_json(self._folder / "current.json") or {}
        return {name: self.version(name, version) for name, version in names.items()}

    def version(self, name: str, version: str) -> View:
        """One version of a view.

        Raises
        ------
        NotFound: (``feature-view-unknown``).
        """
        table = read_json(inside(self._folder / "views", f"{name}@{version}.json"))
        if table is None:
            raise NotFound(
                "feature-view-unknown",
                f"version {version} of feature view {name!r} was never applied here",
                context=str(self._folder),
                hint="`triune features list` shows those that are.",
            )
        return View.from_json(table)

    def versions(self) -> list[View]:
        """Every version there ever was."""
        paths = sorted((self._folder / "views").glob("*@*.json"))
        return [View.from_json(read_json(path)) for path in paths]

    def find(self, names: Sequence[str] = ()) -> list[View]:
        """The current versions of these views; of all when none are named.

        Raises
        ------
        NotFound: ``feature-view-unknown``; ``features-not-applied`` when there are none at all.
        """
        known = self.current()
        if not known:
            raise NotFound(
                "features-not-applied",
                "no feature view is applied",
                context=str(self._folder),
                hint="Define some ([feature_store] in triune.toml), then `triune features apply`.",
            )
        for name in names:
            if name not in known:
                raise NotFound(
                    "feature-view-unknown",
                    f"there is no feature view {name!r}",
                    context=str(self._folder),
                    hint=closest(name, known),
                )
        return [known[name] for name in names] if names else list(known.values())

    def features(
        self, asked: Sequence[str], pinned: Mapping[str, View] | None = None
    ) -> list[tuple[View, str]]:
        """``view`` (all of its features) or ``view:feature`` as pairs, in order, each once.

        Of the current versions of views, or of those ``pinned``.

        Raises
        ------
        NotFound: ``feature-view-unknown``, ``feature-unknown``.
        """
        found: dict[tuple[str, str], tuple[View, str]] = {}
        for one in asked:
            name, _, feature = one.partition(":")
            view = pinned[name] if pinned and name in pinned else self.find([name])[0]
            known = [known for known, _ in view.features]
            if feature and feature not in known:
                raise NotFound(
                    "feature-unknown",
                    f"feature view {name!r} has no feature {feature!r}",
                    hint=closest(feature, known),
                )
            for each in [feature] if feature else known:
                found.setdefault((name, each), (view, each))
        return list(found.values())

    def keep(self, views: Iterable[View]) -> None:
        """Make these, and no others, the current versions."""
        names = {}
        for view in views:
            path = inside(self._folder / "views", f"{view.name}@{view.version}.json")
            if not path.exists():
                write_json(path, view.to_json())
            names[view.name] = view.version
        write_json(self._folder / "current.json", names)
