"""Prometheus: scrapes the gateway, the engines and every model server.

Model servers are found through ``.triune/run/targets/*.json`` (Prometheus's ``file_sd``
format): a file written there is scraped within seconds. Rules are read from
``.triune/run/rules/*.yml``.
"""

from __future__ import annotations

import json
from typing import Any

from triune.core.process import HttpReady, ProcessSpec
from triune.core.workspace import Workspace
from triune.operations.services.addresses import Addresses
from triune.operations.services.engines.binaries import of_system
from triune.operations.services.engines.settings import fingerprint, writer
from triune.operations.services.model import Service

SCRAPE_SECONDS = 2
PROOF_SECONDS = 2 * 86_400


def service(workspace: Workspace, addresses: Addresses) -> Service:
    """Raises `MissingEngine` where the Debian package is not installed."""
    program = of_system("prometheus", "prometheus", "prometheus")
    folder, run = workspace.engine("prometheus"), workspace.run_folder
    config = run / "prometheus.yml"
    files = {config: json.dumps(settings(workspace, addresses), indent=2)}  # JSON is YAML
    if workspace.config.backup is not None:
        files[run / "rules" / "backups.yml"] = json.dumps(backup_rules(), indent=2)
    return Service(
        ProcessSpec(
            name="prometheus",
            argv=(
                str(program),
                f"--config.file={config}",
                f"--storage.tsdb.path={folder}",
                "--storage.tsdb.retention.time=30d",
                f"--web.listen-address={addresses.at('prometheus')}",
                "--log.level=warn",
            ),
            ready=HttpReady(f"{addresses.prometheus_url}/-/ready"),
            env=fingerprint(files),
            cwd=folder,
            order=10,
        ),
        prepare=writer(files, folder, run / "targets", run / "rules"),
    )


def settings(workspace: Workspace, addresses: Addresses) -> dict[str, Any]:
    """The content of ``prometheus.yml``."""
    run = workspace.run_folder
    jobs: list[dict[str, Any]] = [
        _job("envoy", addresses.at("envoy.admin")) | {"metrics_path": "/stats/prometheus"},
        _job("temporal", addresses.at("temporal.metrics")),
        _job("prometheus", addresses.at("prometheus")),
        _job("alertmanager", addresses.at("alertmanager")),
        _job("flags", addresses.at("flags")),
        {
            "job_name": "models",
            "honor_labels": True,  # the servers' own metrics have the labels of their targets
            "file_sd_configs": [{"files": [f"{run}/targets/*.json"], "refresh_interval": "5s"}],
        },
    ]
    if workspace.config.backup is not None:
        jobs.append(_job("backups", addresses.at("backups.metrics")))
    if workspace.config.streams:
        jobs.append(_job("streams", addresses.at("streams.metrics")))
    if addresses.s3 is not None:
        jobs.append(_job("seaweedfs", addresses.at("seaweedfs.metrics")))
    return {
        "global": {
            "scrape_interval": f"{SCRAPE_SECONDS}s",
            "evaluation_interval": f"{SCRAPE_SECONDS}s",
            "external_labels": {"workspace": workspace.name},
        },
        "rule_files": [f"{run}/rules/*.yml"],
        "alerting": {
            "alertmanagers": [{"static_configs": [{"targets": [addresses.at("alertmanager")]}]}]
        },
        "scrape_configs": jobs,
    }


def backup_rules() -> dict[str, Any]:
    """Alerts about backups."""
    return {
        "groups": [
            {
                "name": "backups",
                "rules": [
                    {
                        "alert": "BackupFailed",
                        "expr": "triune_backup_failed == 1",
                        "labels": {"severity": "critical"},
                        "annotations": {
                            "summary": "The latest backup, check or drill failed.",
                            "next": "`triune events --kind backup.failed` says why.",
                        },
                    },
                    {
                        "alert": "BackupNotProven",
                        "expr": "triune_backup_last_success_timestamp_seconds > 0 and "
                        f"time() - triune_backup_last_proof_timestamp_seconds > {PROOF_SECONDS}",
                        "for": "1h",
                        "labels": {"severity": "warning"},
                        "annotations": {
                            "summary": "No backup has passed a drill for two days.",
                            "next": "`triune backup drill` does one now.",
                        },
                    },
                ],
            }
        ]
    }


def _job(name: str, target: str) -> dict[str, Any]:
    return {"job_name": name, "static_configs": [{"targets": [target]}]}
