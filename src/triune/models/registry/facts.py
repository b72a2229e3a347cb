"""The facts of a model version, gathered from what was recorded: nothing is typed in."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from triune.core.files import read_json
from triune.core.ids import digest_file, key_of
from triune.core.workspace import Workspace
from triune.models.registry.model import version_ref
from triune.models.tracking.model import RunRecord
from triune.models.training.saving import FACTS


def gather(
    record: RunRecord,
    *,
    workspace: Workspace,
    run_artifacts: Path,
    folder: Path,
    name: str,
    number: int,
    event: str,
    onnx: Mapping[str, Any],
) -> dict[str, Any]:
    """Everything that is known of the version in ``folder``, as JSON holds it.

    ``event`` is the id of the event that will tell of it, so that a version whose process
    died before it could tell is told of later, and once.
    """
    model = read_json(run_artifacts / FACTS) or {}
    return {
        "name": name,
        "version": number,
        "ref": version_ref(name, number),
        "event": event,
        "registered": datetime.now(UTC).isoformat(timespec="seconds"),
        "workspace": workspace.name,
        "run": {
            "ref": record.ref,
            "name": record.name,
            "actor": record.actor,
            "started": datetime.fromtimestamp(record.started / 1e6, UTC).isoformat(),
            "seconds": record.seconds,
            "details": dict(record.details),
            "params": dict(record.params),
            "metrics": dict(record.metrics),
            "tags": dict(record.tags),
        },
        "lineage": {
            role: [ref for ref, its_role in record.inputs if its_role == role]
            for role in dict.fromkeys(role for _, role in record.inputs)
        },
        "code": _fact(workspace.state / "commits", record.input("commit")),
        "environment": _fact(workspace.state / "environments", record.input("environment")),
        "model": model,
        "onnx": dict(onnx),
        "files": {
            path.relative_to(folder).as_posix(): digest_file(path)
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        },
    }


def _fact(folder: Path, ref: str | None) -> dict[str, Any]:
    """What was told of a commit or an environment; of the latter, not every package."""
    if ref is None:
        return {}
    known = read_json(folder / f"{key_of(ref)}.json") or {"fact": {}}
    fact: dict[str, Any] = known["fact"]
    return {key: len(v) if key == "packages" else v for key, v in fact.items()}
