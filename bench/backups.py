"""A backup of a workspace, its restore and its proof, beside plain restic on the same files.

    .venv/bin/python bench/backups.py [--files 1000] [--kib 1024] [--rounds 3] [--profile server]

Both work in fresh processes that are timed as a whole. restic takes the folder as it lies, with
nothing running and nothing held against anything; what Triune adds is the consistent point, the
manifest of hashes, and on the way back the proof. A restore is only counted once every file was
found equal to its source. On the profile `server` all services run, PostgreSQL and the object
store are in the backup, and the repository lies in the object store.
"""

from __future__ import annotations

import argparse
import filecmp
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

TOML = """
[workspace]
name = "big"
profile = "{}"
[datasets.big]
path = "data/big"
[backup]
"""


def timed(words: list[str], folder: Path, environment: dict[str, str]) -> float:
    os.sync()
    begin = time.perf_counter()
    subprocess.run(words, cwd=folder, env=environment, capture_output=True, check=True)
    return time.perf_counter() - begin


@contextmanager
def served(root: Path, environment: dict[str, str]) -> Iterator[None]:
    """All services of the workspace run for the length of the block."""
    triune = str(Path(sys.executable).parent / "triune")
    try:
        subprocess.run([triune, "up"], cwd=root, env=environment, capture_output=True, check=True)
        yield
    finally:
        subprocess.run([triune, "down"], cwd=root, env=environment, capture_output=True, check=True)


def fill(folder: Path, files: int, kib: int) -> None:
    folder.mkdir(parents=True)
    for number in range(files):
        (folder / f"{number:06}.bin").write_bytes(os.urandom(kib * 1024))


def same(one: Path, other: Path) -> bool:
    names = [path.name for path in one.iterdir()]
    _, unequal, missing = filecmp.cmpfiles(one, other, names, shallow=False)
    return not unequal and not missing


def round_of(place: Path, root: Path, environment: dict[str, str]) -> dict[str, float]:
    triune = [str(Path(sys.executable).parent / "triune"), "backup"]
    restic = [shutil.which("restic", path=environment["PATH"]) or "restic"]
    shutil.rmtree(root / ".triune" / "backups", ignore_errors=True)
    shutil.rmtree(root / ".triune" / "backup-cache", ignore_errors=True)
    shutil.rmtree(place / "repository", ignore_errors=True)
    shutil.rmtree(place / "home", ignore_errors=True)
    subprocess.run([*restic, "init"], env=environment, capture_output=True, check=True)
    took = {
        "restic backup": timed([*restic, "backup", "."], root / "data", environment),
        "triune backup": timed([*triune, "run"], root, environment),
        "triune again": timed([*triune, "run"], root, environment),
        "triune check": timed([*triune, "check"], root, environment),
        "restic check": timed([*restic, "check", "--read-data"], root, environment),
        "triune drill": timed([*triune, "drill"], root, environment),
    }
    for name, words in (
        ("restic restore", [*restic, "restore", "latest", "--target", str(place / "r")]),
        ("triune restore", [*triune, "restore", "--into", str(place / "t")]),
    ):
        took[name] = timed(words, root, environment)
    if not same(root / "data" / "big", place / "r" / "big"):
        raise SystemExit("restic's restore differs")
    if not same(root / "data" / "big", place / "t" / "data" / "big"):
        raise SystemExit("the restore differs")
    shutil.rmtree(place / "r")
    shutil.rmtree(place / "t")
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--kib", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--profile", default="local", choices=("local", "server"))
    chosen = parser.parse_args()
    if chosen.profile == "server" and chosen.rounds != 1:
        parser.error("on the profile server the repository outlives a round: give --rounds 1")
    with tempfile.TemporaryDirectory(prefix="triune-bench-") as folder:
        place = Path(folder)
        root = place / "big"
        fill(root / "data" / "big", chosen.files, chosen.kib)
        (root / "triune.toml").write_text(TOML.format(chosen.profile))
        (place / "password").write_text("bench")
        from triune.operations.services.engines.binaries import of_system

        environment = {
            **os.environ,
            "PATH": f"{of_system('restic', 'restic', 'restic').parent}:{os.environ['PATH']}",
            "RESTIC_REPOSITORY": str(place / "repository"),
            "RESTIC_PASSWORD_FILE": str(place / "password"),
            "RESTIC_CACHE_DIR": str(place / "home"),
        }
        with served(root, environment) if chosen.profile == "server" else nullcontext():
            rounds = [round_of(place, root, environment) for _ in range(chosen.rounds)]
    median = {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
    size = chosen.files * chosen.kib / 1024
    print(f"{chosen.files} files, {size:.0f} MiB, median of {chosen.rounds}; all files equal")
    for what in ("backup", "restore", "check"):
        ours, theirs = median[f"triune {what}"], median[f"restic {what}"]
        print(f"{what:8} triune {ours:6.2f} s  restic {theirs:6.2f} s  ratio {ours / theirs:.2f}")
    print(f"again    triune {median['triune again']:6.2f} s, nothing new")
    print(f"drill    triune {median['triune drill']:6.2f} s: restored, started and proven")


if __name__ == "__main__":
    main()
