"""The ``.dvc`` file beside a dataset, and git's ignore file, as DVC writes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from triune.core.files import write_atomic
from triune.data.fast.hashing import Hashed
from triune.data.fast.objects import FOLDER_MARK


def file_of(path: Path) -> Path:
    """The file that stands for a dataset."""
    return path.with_name(f"{path.name}.dvc")


def text(path: Path, content: str, hashed: Sequence[Hashed]) -> str:
    """What that file says."""
    size = sum(one.entry.size for one in hashed)
    count = f"  nfiles: {len(hashed)}\n" if content.endswith(FOLDER_MARK) else ""
    head = f"outs:\n- md5: {content}\n  size: {size}\n"
    return f"{head}{count}  hash: md5\n  path: {_scalar(path.name)}\n"


def write(path: Path, content: str, hashed: Sequence[Hashed], *, ignore: bool) -> None:
    """Point to the content; ``ignore``: git shall not track the dataset itself."""
    file = file_of(path)
    wanted = text(path, content, hashed)
    if not file.exists() or file.read_text(encoding="utf-8") != wanted:
        write_atomic(file, wanted)
    if ignore:
        _ignore(path)


def _ignore(path: Path) -> None:
    file, line = path.parent / ".gitignore", f"/{path.name}"
    before = file.read_text(encoding="utf-8") if file.exists() else ""
    if line not in before.splitlines():
        end = "" if not before or before.endswith("\n") else "\n"
        write_atomic(file, f"{before}{end}{line}\n")


def _scalar(name: str) -> str:
    """A name as YAML."""
    import yaml

    dumped: str = yaml.safe_dump(name, allow_unicode=True, width=10_000)
    return dumped.removesuffix("\n").removesuffix("\n...").removesuffix("...").strip()
