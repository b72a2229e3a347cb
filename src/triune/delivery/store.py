"""Endpoint states as files: one JSON file each, replaced in one step, with a lock beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from triune.core.config import slug
from triune.core.errors import Conflict, Refused
from triune.core.files import locked, write_atomic
from triune.delivery.state import EndpointState


class EndpointStore:
    """The folder ``.triune/state/endpoints``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, endpoint: str) -> EndpointState:
        """The endpoint's state; the empty one when it was never released to.

        Raises
        ------
        Conflict: (``endpoint-name-taken``) another endpoint has the same file name.
        Refused: (``endpoint-state-broken``) the file is not a state.
        """
        path = self._path(endpoint)
        try:
            state = _read(path)
        except FileNotFoundError:
            return EndpointState(endpoint)
        if state.endpoint != endpoint:
            raise Conflict(
                "endpoint-name-taken",
                f"{endpoint} and {state.endpoint} would share their files",
                context=str(path),
                hint="Rename one of the two endpoints.",
            )
        return state

    def save(self, state: EndpointState) -> EndpointState:
        """Make a state durable; returns it."""
        text = json.dumps(msgspec.to_builtins(state), indent=2, sort_keys=True) + "\n"
        write_atomic(self._path(state.endpoint), text)
        return state

    def all(self) -> tuple[EndpointState, ...]:
        """Every endpoint that was ever released to, by name."""
        return tuple(_read(path) for path in sorted(self._folder.glob("*.json")))

    @contextmanager
    def locked(self, endpoint: str) -> Iterator[None]:
        """Be the only one that changes this endpoint; the lock dies with its holder.

        Raises
        ------
        Conflict: (``rollout-in-progress``) another process changes it now.
        """
        lock = self._folder / f"{slug(endpoint)}.lock"
        try:
            context = locked(lock, wait=False)
            context.__enter__()
        except Conflict as error:
            raise Conflict(
                "rollout-in-progress",
                f"another process changes {endpoint} now",
                context=str(lock),
                hint="Wait for it; `triune rollout status` shows it.",
            ) from error
        try:
            yield
        finally:
            context.__exit__(None, None, None)

    @contextmanager
    def gateway_locked(self) -> Iterator[None]:
        """Hold while reading all states and applying them, so that no older table wins."""
        with locked(self._folder / "gateway.lock"):
            yield

    def _path(self, endpoint: str) -> Path:
        return self._folder / f"{slug(endpoint)}.json"


def _read(path: Path) -> EndpointState:
    data = path.read_bytes()
    try:
        return msgspec.json.decode(data, type=EndpointState)
    except msgspec.MsgspecError as error:
        raise Refused(
            "endpoint-state-broken",
            f"not an endpoint's state: {error}",
            context=str(path),
            hint="Restore the file from a backup, or remove it and start a rollout anew.",
        ) from error
