"""What pipelines need from others; `app` plugs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from triune.core.reads.model import Seen


@dataclass(frozen=True, slots=True)
class Ran:
    """A stage that ran: what it was seen to read, what Triune keeps for it, and its inputs."""

    stage: str
    seen: Seen
    own: tuple[Path, ...]
    given: tuple[Path, ...]
    refs: frozenset[str]


@dataclass(frozen=True, slots=True)
class Told:
    """Its reads told apart: versions that were read besides its inputs, as (reference, role), and
    what the ledger keeps of all of them."""

    inputs: tuple[tuple[str, str], ...]
    reads: Mapping[str, Any]


class Sort(Protocol):
    """Tells apart what a stage read."""

    def __call__(self, ran: Ran) -> Told:
        """Never raises what `TriuneError` covers."""
        ...
