"""Endpoint states as files: one JSON file each, replaced in one step, with a lock beside it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from triune.core.config import slug
from triune.core.errors import Conflict, Refused, Unavailable
from triune.core.files import locked, write_atomic
from triune.delivery.state import BEFORE_TRAFFIC, Driver, EndpointState, Phase

_PAUSE_SECONDS = 0.02

# Made here, in one thread: the first use of a type in several at once ends the process.
_decode = msgspec.json.Decoder(EndpointState).decode


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
        path = self.path(endpoint)
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
        """Make a state durable; returns it.

        Raises
        ------
        Unavailable: (``endpoint-state-unwritable``) e.g. on a full disk; the old one stays.
        """
        text = json.dumps(msgspec.to_builtins(state), indent=2, sort_keys=True) + "\n"
        path = self.path(state.endpoint)
        try:
            write_atomic(path, text)
        except OSError as error:
            raise Unavailable(
                "endpoint-state-unwritable",
                f"the state of {state.endpoint} cannot be written: {error.strerror}",
                context=str(path),
                hint="Free some space; what was under way is finished by the guard.",
            ) from error
        return state

    def all(self) -> tuple[EndpointState, ...]:
        """Every endpoint that was ever released to, by name."""
        return tuple(_read(path) for path in sorted(self._folder.glob("*.json")))

    @contextmanager
    def locked(self, endpoint: str, *, patience: float = 0.0) -> Iterator[None]:
        """Be the only one that changes this endpoint; the lock dies with its holder.

        With ``patience`` (seconds) a holder that only looks after the endpoint, as the guard
        does every other second, is waited for; a rollout under way is not.

        Raises
        ------
        Conflict: (``rollout-in-progress``) another process changes it now.
        """
        until = time.monotonic() + patience
        with ExitStack() as stack:
            while not self._taken(endpoint, stack):
                if time.monotonic() >= until or self._rolls_out(endpoint):
                    raise Conflict(
                        "rollout-in-progress",
                        f"another process changes {endpoint} now",
                        context=str(self._lock(endpoint)),
                        hint="Wait for it; `triune rollout status` shows it.",
                    )
                time.sleep(_PAUSE_SECONDS)
            yield

    def _taken(self, endpoint: str, stack: ExitStack) -> bool:
        try:
            stack.enter_context(locked(self._lock(endpoint), wait=False))
        except Conflict:
            return False
        return True

    def _rolls_out(self, endpoint: str) -> bool:
        pending = self.load(endpoint).pending
        under_way = {*BEFORE_TRAFFIC, Phase.SWITCHING}
        return (
            pending is not None and pending.driver is Driver.COMMAND and pending.phase in under_way
        )

    def _lock(self, endpoint: str) -> Path:
        return self._folder / f"{slug(endpoint)}.lock"

    @contextmanager
    def gateway_locked(self) -> Iterator[None]:
        """Hold while reading all states and applying them, so that no older table wins."""
        with locked(self._folder / "gateway.lock"):
            yield

    def path(self, endpoint: str) -> Path:
        """The endpoint's file: replaced at every change of its state."""
        return self._folder / f"{slug(endpoint)}.json"


def _read(path: Path) -> EndpointState:
    data = path.read_bytes()
    try:
        return _decode(data)
    except msgspec.MsgspecError as error:
        raise Refused(
            "endpoint-state-broken",
            f"not an endpoint's state: {error}",
            context=str(path),
            hint="Restore the file from a backup, or remove it and start a rollout anew.",
        ) from error
