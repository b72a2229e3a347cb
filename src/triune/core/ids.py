"""Ids, content hashes and references.

An *id* is a UUIDv7 in text: it sorts by time. A *digest* is ``sha256:`` and 64 hex digits.
A *reference* names a node of the lineage graph: ``kind:key``, e.g. ``run:0192f...`` or
``dataset:flights@3f2a...``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from uuid_utils import uuid7

from triune.core.errors import TriuneError

_CHUNK = 1 << 20


def new_id() -> str:
    """A new UUIDv7 in canonical text form; later ids sort after earlier ones."""
    return str(uuid7())


def time_of(identifier: str) -> datetime:
    """The time inside a UUIDv7, in UTC, to the millisecond."""
    milliseconds = int(identifier.replace("-", "")[:12], 16)
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def digest_bytes(data: bytes) -> str:
    """``sha256:<hex>`` of the bytes."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def digest_file(path: Path) -> str:
    """``sha256:<hex>`` of a file's bytes, read in pieces of 1 MiB."""
    hasher = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            hasher.update(chunk)
    return "sha256:" + hasher.hexdigest()


def digest_tree(root: Path, *, leave_out: Iterable[str] = ()) -> str:
    """One digest for a folder: of the sorted lines ``<file digest>  <relative path>``.

    Names in ``leave_out`` (relative POSIX paths) are not part of it. Symbolic links and
    anything else that is not a plain file are refused, since their bytes lie elsewhere.
    """
    skipped = set(leave_out)
    lines = []
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise TriuneError(
                "artifact-not-plain", f"{name} is not a plain file", context=str(root)
            )
        if path.is_file() and name not in skipped:
            lines.append(f"{digest_file(path)}  {name}\n")
    return digest_bytes("".join(lines).encode())


def reference(kind: str, key: str) -> str:
    """The lineage reference ``kind:key``."""
    return f"{kind}:{key}"


def kind_of(ref: str) -> str:
    """The kind in a reference; the empty string when there is none."""
    return ref.partition(":")[0] if ":" in ref else ""


def key_of(ref: str) -> str:
    """The key in a reference."""
    return ref.partition(":")[2]
