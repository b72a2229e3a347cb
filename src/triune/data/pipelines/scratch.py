"""A place where a stage runs: the workspace as it is, but for the stage's outputs.

Everything is a link into the workspace; only the folders that lead to an output are real, and the
output itself is new. The command writes there, and what it made is put in place in one step
afterwards. Killed at any line, the outputs in the workspace are the old ones, complete.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from triune.core.errors import Refused
from triune.data.swap import put_in_place


def place_of(home: Path, name: str) -> Path:
    """Where the stage of this name runs."""
    return home / name.replace("/", "-")


@contextmanager
def scratch(root: Path, place: Path, outs: Iterable[str]) -> Iterator[Path]:
    """A mirror of ``root`` at ``place`` without these outputs; removed at the end.

    What a killed process left of an earlier one is removed first; the caller holds a lock.
    """
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    try:
        _mirror(root, place, {PurePosixPath(out).parts for out in outs})
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _mirror(source: Path, target: Path, outs: set[tuple[str, ...]]) -> None:
    """Link everything but what leads to an output."""
    leading: dict[str, set[tuple[str, ...]]] = {}
    for out in outs:
        leading.setdefault(out[0], set()).add(out[1:])
    for entry in sorted(source.iterdir()) if source.is_dir() else []:
        if entry.name not in leading:
            (target / entry.name).symlink_to(entry)
    for name, rest in leading.items():
        if () not in rest:
            (target / name).mkdir()
            _mirror(source / name, target / name, rest)


def keep(place: Path, root: Path, outs: Iterable[str]) -> None:
    """Copy outputs that a stage goes on from (`persist: true`) into its scratch place."""
    for out in outs:
        source = root / out
        if source.is_dir():
            shutil.copytree(source, place / out, symlinks=True)
        elif source.exists():
            shutil.copy2(source, place / out)


def settle(place: Path, root: Path, outs: Iterable[str], stage: str) -> None:
    """Put what the stage made in the place of the old outputs, each in one step.

    Raises
    ------
    Refused: (``stage-output-missing``) an output is not there; nothing was put in place.
    """
    wanted = list(outs)
    missing = [out for out in wanted if not (place / out).exists()]
    if missing:
        raise Refused(
            "stage-output-missing",
            f"stage {stage!r} did not make {', '.join(missing)}",
            context=str(root / "dvc.yaml"),
            hint="Write outputs by paths relative to the folder that the command runs in.",
        )
    for out in wanted:
        (root / out).parent.mkdir(parents=True, exist_ok=True)
        beside = (root / out).with_name(f".{Path(out).name}.made")
        _remove(beside)
        shutil.move(place / out, beside)
        put_in_place(beside, root / out)
        _remove(beside)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
