"""What backups tell the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from triune.core.ids import reference
from triune.ledger.envelope import Event, event

MADE, CHECKED, DRILLED = "backup.made", "backup.checked", "backup.drilled"
RESTORED, FAILED = "backup.restored", "backup.failed"


def told(
    kind: str, identifier: str, payload: Mapping[str, Any], *, workspace: str, actor: str | None
) -> Event:
    """One thing that happened to a backup, or to the repository (an empty identifier)."""
    subject = reference("backup", identifier or "repository")
    return event(kind, subject, workspace=workspace, actor=actor, payload=dict(payload))
