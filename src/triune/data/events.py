"""Dataset versions as they stand in the ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from triune.data.model import DatasetVersion, FileFacts
from triune.ledger.envelope import Edge, Event, event

VERSIONED = "dataset.versioned"
LISTED_FILES = 1000


def versioned(
    version: DatasetVersion,
    *,
    workspace: str,
    root: Path,
    remote: str,
    made_by: str | None = None,
) -> Event:
    """The event that records a version. The files are listed when there are few enough;
    ``made_by`` is the stage that made it."""
    return event(
        VERSIONED,
        version.ref,
        workspace=workspace,
        at=version.at,
        edges=(Edge(version.ref, made_by, "stage"),) if made_by else (),
        payload={
            "name": version.name,
            "digest": version.digest,
            "path": version.path.relative_to(root).as_posix(),
            "count": version.count,
            "bytes": version.bytes,
            "dvc": {
                "content": version.content,
                "file": version.dvc_file.relative_to(root).as_posix(),
                "remote": remote,
            },
            "files": [_file(facts) for facts in version.files],
        },
    )


def listed(files: tuple[FileFacts, ...]) -> tuple[FileFacts, ...]:
    """The files, or none of them when an event would grow too large."""
    return files if len(files) < LISTED_FILES else ()


def _file(facts: FileFacts) -> dict[str, Any]:
    row: dict[str, Any] = {"name": facts.name, "digest": facts.digest, "bytes": facts.bytes}
    if facts.rows is not None:
        row["rows"] = facts.rows
    if facts.columns is not None:
        row["columns"] = list(facts.columns)
    return row


def version_of(recorded: Event, root: Path) -> DatasetVersion:
    """The version that an event recorded."""
    payload = recorded.payload
    return DatasetVersion(
        name=payload["name"],
        ref=recorded.subject,
        digest=payload["digest"],
        path=root / payload["path"],
        count=payload["count"],
        bytes=payload["bytes"],
        content=payload["dvc"]["content"],
        dvc_file=root / payload["dvc"]["file"],
        at=recorded.at,
        files=tuple(
            FileFacts(
                row["name"],
                row["digest"],
                row["bytes"],
                row.get("rows"),
                tuple(row["columns"]) if "columns" in row else None,
            )
            for row in payload["files"]
        ),
    )
