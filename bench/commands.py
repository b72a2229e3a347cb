"""How fast the command line answers, beside the command lines people use today.

Whole processes, from start to exit; medians of several interleaved rounds. ``triune status`` is
asked of a workspace whose services run.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sysconfig
import tempfile
import time
from pathlib import Path

BIN = Path(sysconfig.get_path("scripts"))
ROUNDS = 7


def measure(rounds: int) -> dict[str, float]:
    """Median seconds of each command."""
    with tempfile.TemporaryDirectory(prefix="triune-bench-") as folder:
        root = Path(folder) / "bench"
        environment = {**os.environ, "NO_COLOR": "1"}

        def run(*command: str) -> float:
            begin = time.perf_counter()
            subprocess.run(
                [str(BIN / command[0]), *command[1:]],
                cwd=root if root.exists() else folder, env=environment,
                check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            return time.perf_counter() - begin

        run("triune", "init", str(root))
        run("triune", "up")
        try:
            commands = [
                ("triune", "--help"),
                ("triune", "status"),
                ("triune", "events", "--limit", "5"),
                ("triune", "runs"),
                ("mlflow", "--help"),
                ("dvc", "--help"),
            ]
            taken: dict[str, list[float]] = {" ".join(command): [] for command in commands}
            for _ in range(rounds):
                for command in commands:
                    taken[" ".join(command)].append(run(*command))
        finally:
            run("triune", "down")
    return {name: statistics.median(values) for name, values in taken.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures = measure(options.rounds)
    if options.json:
        print(json.dumps(figures, indent=2))
        return
    for name, seconds in figures.items():
        print(f"{name:28} {seconds:6.3f} s")


if __name__ == "__main__":
    main()
