"""What a model version is, and how one is named."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from triune.core.errors import Refused
from triune.core.ids import key_of, kind_of, reference

LATEST = "latest"
"""The implicit alias of the newest version."""

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}\Z")


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A registered version: it never changes again, and its number is never given twice.

    ``digest`` is what the ledger says its folder's bytes are (``model.sig`` left out);
    ``registered`` is in microseconds since 1970 UTC.
    """

    name: str
    number: int
    digest: str
    folder: Path
    run: str
    registered: int
    actor: str
    aliases: tuple[str, ...] = ()

    @property
    def ref(self) -> str:
        """The lineage reference ``model:<name>@<number>``."""
        return version_ref(self.name, self.number)

    @property
    def card(self) -> Path:
        return self.folder / "card.md"

    @property
    def facts(self) -> Path:
        return self.folder / "facts.json"

    @property
    def example(self) -> Path:
        """``{"inputs": {column: [values]}}``: rows as callers send them."""
        return self.folder / "example.json"


def version_ref(name: str, number: int) -> str:
    """``model:<name>@<number>``."""
    return reference("model", f"{name}@{number}")


def split(text: str) -> tuple[str, str]:
    """``name@2``, ``name@alias``, ``model:name@2`` or ``name`` as name and number or alias."""
    plain = key_of(text) if kind_of(text) == "model" else text
    name, _, which = plain.partition("@")
    return name, which or LATEST


def check_name(name: str, noun: str) -> str:
    """The name, unless it cannot be one (``model-name-invalid``)."""
    if _NAME.match(name) and name != LATEST:
        return name
    raise Refused(
        "model-name-invalid",
        f"{name!r} cannot be the {noun}",
        hint="Use lower-case letters, digits, '-' and '_', a letter first; 'latest' is taken.",
    )
