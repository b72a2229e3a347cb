"""A failed backup raises an alert: the rules are valid, and fire for what the daemon says."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from triune.data.backups.events import Standing
from triune.operations.services.engines.binaries import of_system
from triune.operations.services.engines.prometheus import PROOF_SECONDS, backup_rules

pytestmark = pytest.mark.engine


def promtool(*words: str, folder: Path) -> None:
    program = of_system("prometheus", "prometheus", "promtool", "promtool")
    done = subprocess.run(
        [str(program), *words], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_rules_are_valid_and_fire(tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text(json.dumps(backup_rules()))
    promtool("check", "rules", "rules.yml", folder=tmp_path)
    series = [
        {"series": "triune_backup_failed", "values": "0 1 1 0"},
        {"series": "triune_backup_last_success_timestamp_seconds", "values": "1+0x10000"},
        {"series": "triune_backup_last_proof_timestamp_seconds", "values": "1+0x10000"},
    ]
    failed = {
        "exp_labels": {"severity": "critical"},
        "exp_annotations": _annotations("BackupFailed"),
    }
    stale = {
        "exp_labels": {"severity": "warning"},
        "exp_annotations": _annotations("BackupNotProven"),
    }
    late = f"{PROOF_SECONDS // 60 + 90}m"
    rules = [
        {"eval_time": "1m", "alertname": "BackupFailed", "exp_alerts": [failed]},
        {"eval_time": "3m", "alertname": "BackupFailed", "exp_alerts": []},
        {"eval_time": "60m", "alertname": "BackupNotProven", "exp_alerts": []},
        {"eval_time": late, "alertname": "BackupNotProven", "exp_alerts": [stale]},
    ]
    tests = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": "1m",
        "tests": [{"interval": "1m", "input_series": series, "alert_rule_test": rules}],
    }
    (tmp_path / "tests.yml").write_text(json.dumps(tests))
    promtool("test", "rules", "tests.yml", folder=tmp_path)


def _annotations(name: str) -> dict[str, str]:
    (found,) = [r for r in backup_rules()["groups"][0]["rules"] if r["alert"] == name]
    return dict(found["annotations"])


def test_a_failure_stands_until_something_has_gone_well_again() -> None:
    assert "triune_backup_failed 1" in Standing(made=1.0, drilled=2.0, failed=3.0).exposition()
    assert "triune_backup_failed 0" in Standing(made=4.0, drilled=2.0, failed=3.0).exposition()
