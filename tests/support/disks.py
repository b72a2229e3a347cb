"""A disk of its own, to be filled."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MiB; see `resize`."""
    if os.getuid() != 0:
        pytest.skip("mounting a small disk needs root")
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)]
    mounted = subprocess.run(command, check=False, capture_output=True)
    if mounted.returncode != 0:
        pytest.skip(f"tmpfs cannot be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def resize(disk: Path, mebibytes: int) -> None:
    """Give the disk another size."""
    _remount(disk, mebibytes * 1024)


def fill(disk: Path, mebibytes: int) -> None:
    """Leave the disk this much room, to less than a page when it is 0."""
    now = os.statvfs(disk)
    used = (now.f_blocks - now.f_bavail) * now.f_bsize // 1024
    _remount(disk, used + mebibytes * 1024)


def _remount(disk: Path, kibibytes: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={kibibytes}k", str(disk)], check=True)
