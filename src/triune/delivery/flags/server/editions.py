"""What the server serves now, and how who has an older version comes there."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import NamedTuple

from triune.delivery.flags import document, snapshot
from triune.delivery.flags.evaluator import Evaluator
from triune.delivery.flags.snapshot import Snapshot

KEPT = 256
"""So many changes are kept; who is further behind gets the whole configuration."""


@dataclass(frozen=True, slots=True)
class Edition:
    """The flags of one moment, ready to be evaluated and sent.

    Attributes
    ----------
    text: all of them, flagd's format
    configuration: the event that tells of all
    change: the event that leads here from version ``before``; empty for the first edition
    """

    snapshot: Snapshot
    version: str
    evaluator: Evaluator
    text: str
    configuration: bytes
    before: str = ""
    change: bytes = b""


def first(flags: Snapshot) -> Edition:
    """An edition without one before it."""
    return _edition(flags, Evaluator(flags.flags.values(), key_needed=True))


def following(before: Edition, flags: Snapshot) -> Edition:
    """The edition after another one; costs what has changed, and one text of all flags."""
    change = before.snapshot.difference(flags)
    event = _event("change", flags.version, snapshot.change_text(change))
    made = _edition(flags, before.evaluator.changed(change))
    return replace(made, before=before.version, change=event)


def _edition(flags: Snapshot, evaluator: Evaluator) -> Edition:
    text = document.text_of(flags.flags)
    configuration = _event("configuration", flags.version, text)
    return Edition(flags, flags.version, evaluator, text, configuration)


def _event(name: str, version: str, text: str) -> bytes:
    return f"event: {name}\nid: {version}\ndata: {text}\n\n".encode()


class _Step(NamedTuple):
    before: str
    change: bytes


class Editions:
    """The edition in force and the steps to it. For one thread."""

    def __init__(self) -> None:
        self._now: Edition | None = None
        self._steps: deque[_Step] = deque(maxlen=KEPT)

    @property
    def now(self) -> Edition | None:
        """The edition in force; None before the first."""
        return self._now

    def publish(self, edition: Edition) -> None:
        """Put an edition in force."""
        if self._now is not None and edition.before == self._now.version:
            self._steps.append(_Step(edition.before, edition.change))
        else:
            self._steps.clear()
        self._now = edition

    def since(self, version: str | None) -> bytes:
        """The events that bring who has this version (None: nothing) to the edition in force:
        the changes, or where they are not known or longer the configuration."""
        if self._now is None or version == self._now.version:
            return b""
        found: list[bytes] = []
        size = 0
        for step in reversed(self._steps):
            found.append(step.change)
            size += len(step.change)
            if size > len(self._now.configuration):
                break
            if step.before == version:
                return b"".join(reversed(found))
        return self._now.configuration
