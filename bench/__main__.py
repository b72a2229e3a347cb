"""Runs every measurement, one after another: ``python -m bench [name ...]``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SUBJECTS = {
    "commands": "how fast the command line answers",
    "ledger": "events, ancestors, lineage; beside bare SQLite",
    "tracking": "logging and listing runs; beside MLflow",
    "switches": "blue-green switches under load",
    "canary_simulation": "false and missed rollbacks; beside what people use",
    "abtest": "A/B tests looked at all the time: false and missed findings; beside GrowthBook",
    "abtest_stream": "events a second into a test's sums, and computing them anew",
    "look": "what one look of a rollout computes",
    "rollouts": "a thousand canaries on one worker",
    "live_canary": "good, harmful and harmless canaries on real flights, by the clock",
    "gateway": "what assignment and readings cost the gateway",
    "data_versions": "adding, pushing, checking out many files; beside plain DVC",
    "backups": "a gigabyte saved, restored, proven; beside plain restic",
    "training_set": "a point-in-time join; beside Feast's own store",
    "online_features": "reading features by entity; beside Feast's own store",
    "streams": "from an event to a readable feature",
    "flags": "evaluating a flag; beside GrowthBook and flagd's provider",
    "flag_server": "evaluations over HTTP; a change on its way to 1,000 processes",
    "serving": "the model server; beside MLflow and MLServer",
}


def main(names: list[str]) -> int:
    """Run the named subjects, or all; the exit status is the number of failures."""
    unknown = [name for name in names if name not in SUBJECTS]
    if unknown:
        print(f"unknown: {', '.join(unknown)}; known: {', '.join(SUBJECTS)}", file=sys.stderr)
        return 2
    failed = []
    for name in names or SUBJECTS:
        print(f"\n== {name}: {SUBJECTS[name]}", flush=True)
        script = Path(__file__).parent / f"{name}.py"
        if subprocess.run([sys.executable, str(script)], check=False).returncode != 0:
            failed.append(name)
    if failed:
        print(f"\nfailed: {', '.join(failed)}", file=sys.stderr)
    return len(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
