"""Samples as model servers write them, for tests of shadows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from triune.delivery.rollout.samples import Sample

START_US = 1_795_367_686_000_000


class HandClock:
    """A clock that moves when it is told to."""

    def __init__(self, at_us: int = START_US) -> None:
        self.seconds = 0.0
        self._start = datetime.fromtimestamp(at_us / 1e6, UTC)

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds


def sample(request: str, **changed: Any) -> Sample:
    """A good answer of a classifier, one second after `START_US`."""
    fields: dict[str, Any] = {
        "request": request,
        "time_us": START_US + 1_000_000,
        "status": 200,
        "duration_us": 800,
        "labels": ("1",),
        "probabilities": (0.7,),
    }
    if changed.get("status", 200) != 200:
        fields |= {"labels": None, "probabilities": None}
    return Sample(**(fields | changed))


def line(*samples: Sample) -> bytes:
    """The samples as lines."""
    return b"".join(msgspec.json.encode(one) + b"\n" for one in samples)


def append(path: Path, *samples: Sample) -> None:
    """Write like a model server."""
    with path.open("ab") as file:
        file.write(line(*samples))
