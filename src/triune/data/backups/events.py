"""What backups tell the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from triune.core.ids import reference
from triune.data.backups.ports import Log
from triune.ledger.envelope import Event, event
from triune.ledger.ports import Query

MADE, CHECKED, DRILLED = "backup.made", "backup.checked", "backup.drilled"
RESTORED, RECOVERED, FAILED = "backup.restored", "backup.recovered", "backup.failed"


def told(
    kind: str, identifier: str, payload: Mapping[str, Any], *, workspace: str, actor: str | None
) -> Event:
    """One thing that happened to a backup, or to the repository (an empty identifier)."""
    subject = reference("backup", identifier or "repository")
    return event(kind, subject, workspace=workspace, actor=actor, payload=dict(payload))


@dataclass(frozen=True, slots=True)
class Standing:
    """When it last went well or badly, in seconds since 1970; 0 for never."""

    made: float = 0.0
    drilled: float = 0.0
    failed: float = 0.0

    def exposition(self) -> str:
        """Prometheus's text format. ``failed`` is 1 until something has gone well again."""
        bad = int(self.failed > max(self.made, self.drilled))
        return (
            "# HELP triune_backup_last_success_timestamp_seconds When a backup was last made.\n"
            "# TYPE triune_backup_last_success_timestamp_seconds gauge\n"
            f"triune_backup_last_success_timestamp_seconds {self.made:.3f}\n"
            "# HELP triune_backup_last_proof_timestamp_seconds When a drill last passed.\n"
            "# TYPE triune_backup_last_proof_timestamp_seconds gauge\n"
            f"triune_backup_last_proof_timestamp_seconds {self.drilled:.3f}\n"
            "# HELP triune_backup_failed Whether the latest backup, check or drill failed.\n"
            "# TYPE triune_backup_failed gauge\n"
            f"triune_backup_failed {bad}\n"
        )


def standing(log: Log) -> Standing:
    """How backups stand, out of the ledger."""

    def latest(kind: str, *, passed: bool = False) -> float:
        for stored in log.select(Query(kind=kind, newest_first=True)):
            if not passed or stored.event.payload["verdict"] == "pass":
                return stored.event.time / 1e6
        return 0.0

    return Standing(latest(MADE), latest(DRILLED, passed=True), latest(FAILED))
