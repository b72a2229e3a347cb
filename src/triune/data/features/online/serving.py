"""Features for a model server: made from plain settings, without Feast."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, urlsplit, urlunsplit

import hiredis

from triune.core.errors import TriuneError
from triune.data.features.online.asynchronous import AsyncValkey
from triune.data.features.online.layout import Odd, ViewLayout
from triune.data.features.online.places import place
from triune.data.features.online.plan import compile
from triune.data.features.online.ports import Place, Request

log = logging.getLogger("triune.features")


class _Source(Protocol):
    async def fetch(self, requests: Sequence[Request]) -> list[list[bytes | None]]: ...


class _Threaded:
    """A place without an interface for event loops, called as it is where it is a file."""

    def __init__(self, place: Place, *, at_once: bool) -> None:
        self._place = place
        self._at_once = at_once

    async def fetch(self, requests: Sequence[Request]) -> list[list[bytes | None]]:
        if self._at_once:
            return self._place.fetch(requests)
        return await asyncio.to_thread(self._place.fetch, requests)


class FeatureLookup:
    """`triune.models.serving.ports.Lookup` by a plan.

    Its settings: ``url`` and perhaps ``password_file``, ``timeout`` (seconds), ``layouts``, and
    ``features`` (input -> ``view:feature``).
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        layouts = [ViewLayout.from_json(one) for one in settings["layouts"]]
        self._names: dict[str, str] = settings["features"]
        self._plan = compile(layouts, list(self._names.values()))
        self._source = _source(settings)
        self._said = 0.0

    async def __call__(
        self, entities: Mapping[str, Sequence[Any]], rows: int
    ) -> dict[str, list[Any]] | None:
        try:
            found = await self._source.fetch(self._plan.requests(entities))
        except (OSError, TimeoutError, hiredis.HiredisError, TriuneError) as error:
            self._say(error)
            return None
        answer = self._plan.answer(found, rows, time.time_ns() // 1_000)
        return {name: _known(answer.columns[feature]) for name, feature in self._names.items()}

    def _say(self, error: Exception) -> None:
        """Once a second at most: an outage is not a line for each request."""
        now = time.monotonic()
        if now - self._said >= 1.0:
            self._said = now
            log.warning("the online store is away: %s: %s", type(error).__name__, error)


def _known(values: list[Any]) -> list[Any]:
    """The values; one of another type than declared counts as missing: no model knows it."""
    if any(type(value) is Odd for value in values):
        return [None if type(value) is Odd else value for value in values]
    return values


def _source(settings: Mapping[str, Any]) -> _Source:
    url, file = settings["url"], settings.get("password_file")
    if file:
        parts = urlsplit(url)
        secret = quote(Path(file).read_text(encoding="utf-8").strip(), safe="")
        url = urlunsplit(parts._replace(netloc=f":{secret}@{parts.netloc.rpartition('@')[2]}"))
    if urlsplit(url).scheme == "redis":
        return AsyncValkey(url, settings["timeout"])
    made = place(url, timeout=settings["timeout"])
    return _Threaded(made, at_once=urlsplit(url).scheme == "sqlite")
