"""Dataset versions of many small files and one large one, beside plain DVC on the same data.

    .venv/bin/python bench/data_versions.py [--files 20000] [--large 2] [--rounds 3] [--alone]

Both work in fresh processes that are timed as a whole, on repositories of their own with a folder
as the remote. `--alone` leaves DVC out, as for a million files. The result is then held against
plain `dvc status`. Nothing is deleted before the end: ext4 keeps away from inodes that were freed
within the last minutes, so that after a deletion each new file takes several times as long.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

KIB4 = 4096
STEPS = ("add", "status", "push", "checkout")

OURS = """
import sys, time, json, shutil
from pathlib import Path
from triune.data.backends.dvc import DvcStore
from triune.data.model import Remote
from triune.data.fast.index import HashIndex
root, step = Path(sys.argv[1]), sys.argv[2]
home = root / ".triune"
store = DvcStore(root, home / "dvc", Remote(str(home / "dvc-remote")))
data = root / "data"
if step == "add":
    store.add(data)
elif step == "status":
    HashIndex(home / "data-index").hashes(data)
elif step == "push":
    store.push(store.tracked(data).content)
else:
    from triune.data import contents
    from triune.data.swap import put_in_place
    objects = store.objects(store.tracked(data).content)
    contents.write_objects(objects, root / "out")
"""
THEIRS = {
    "add": ["add", "-q", "data"],
    "status": ["status", "-q"],
    "push": ["push", "-q"],
    "checkout": ["checkout", "-q"],
}


def run(who: str, root: Path, step: str) -> float:
    words = [sys.executable, "-c", OURS, str(root), step]
    if who == "dvc":
        words = [str(Path(sys.executable).parent / "dvc"), *THEIRS[step]]
    os.sync()  # what was written before is not this step's
    begin = time.perf_counter()
    subprocess.run(words, cwd=root, capture_output=True, check=True)
    return time.perf_counter() - begin


def fill(folder: Path, files: int) -> None:
    for number in range(files):
        path = folder / f"{number // 1000:04}" / f"{number:07}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(number.to_bytes(8, "big") * (KIB4 // 8))
    old = time.time() - 60
    for path in folder.rglob("*"):
        os.utime(path, (old, old))


def begin(root: Path) -> None:
    root.mkdir(parents=True)
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    dvc = Path(sys.executable).parent / "dvc"
    for words in (["init", "-q"], ["config", "core.analytics", "false"],
                  ["config", "core.check_update", "false"],
                  ["remote", "add", "-d", "here", str(root / "remote")]):  # fmt: skip
        subprocess.run([str(dvc), *words], cwd=root, check=True, capture_output=True)


def measure(place: Path, files: int, rounds: int, *, alone: bool) -> dict[str, dict[str, float]]:
    took: dict[str, dict[str, list[float]]] = {"triune": {}, "dvc": {}}
    for number in range(rounds):
        for who in ("triune", "dvc"):
            if alone and who == "dvc":
                continue
            root = place / f"{who}-{number}"
            begin(root)
            fill(root / "data", files)
            for step in STEPS:
                if step == "checkout" and who == "dvc":
                    (root / "data").rename(place / f"added-{number}")
                took[who].setdefault(step, []).append(run(who, root, step))
            if who == "triune" and number == 0:
                accepted(root)
    return {w: {s: statistics.median(v) for s, v in steps.items()} for w, steps in took.items()}


def accepted(root: Path) -> None:
    """Plain DVC finds nothing to do, and what was checked out is what was added."""
    dvc = Path(sys.executable).parent / "dvc"
    done = subprocess.run(
        [str(dvc), "status"], cwd=root, capture_output=True, text=True, check=True
    )
    if "up to date" not in done.stdout:
        raise SystemExit(f"plain dvc does not accept it: {done.stdout}{done.stderr}")
    done = subprocess.run(["diff", "-r", str(root / "data"), str(root / "out")], check=False)
    if done.returncode != 0:
        raise SystemExit("what was checked out differs from what was added")


def large(place: Path, gigabytes: float) -> dict[str, float]:
    """One large file: adding it, beside hashing it once (md5 and SHA-256) and copying it once.

    Each begins with nothing left to write to the disk: what is added is on it in the end, which
    the copy need not be.
    """
    import hashlib

    root = place / "large"
    begin(root)
    (root / "data").mkdir()
    path = root / "data" / "large.bin"
    piece = os.urandom(1 << 20)
    with path.open("wb") as file:
        for _ in range(round(gigabytes * 1024)):
            file.write(piece)
    old = time.time() - 60
    os.utime(path, (old, old))
    os.sync()
    start = time.perf_counter()
    md5, sha = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            md5.update(chunk)
            sha.update(chunk)
    hashed = time.perf_counter() - start
    start = time.perf_counter()
    shutil.copyfile(path, root / "copy.bin")
    copied = time.perf_counter() - start
    (root / "copy.bin").unlink()
    os.sync()
    return {"add": run("triune", root, "add"), "hash": hashed, "copy": copied}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--large", type=float, default=2.0, help="gigabytes; 0 leaves it out")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--alone", action="store_true")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="triune-bench-") as folder:
        place = Path(folder)
        found = measure(place, asked.files, asked.rounds, alone=asked.alone)
        one = large(place, asked.large) if asked.large else {}
    if asked.json:
        print(json.dumps({"files": asked.files, **found, "large": one}))
        return 0
    print(f"{asked.files} files of 4 KiB, medians of {asked.rounds}, seconds")
    for step in STEPS:
        ours, theirs = found["triune"][step], found["dvc"].get(step)
        beside = f"{theirs:8.2f}   {theirs / ours:5.1f}x" if theirs else ""
        print(f"{step:10} {ours:8.2f} {beside}")
    if one:
        whole = one["hash"] + one["copy"]
        print(f"{asked.large:g} GiB add {one['add']:.2f}, hash {one['hash']:.2f} + copy "
              f"{one['copy']:.2f} = {whole:.2f}: {one['add'] / whole:.2f}")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
