"""Reading a dataset's files: their hashes, and what their formats tell about them."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from triune.core.errors import NotFound, Refused, TriuneError
from triune.core.files import inside
from triune.core.ids import digest_file
from triune.data.fast import objects
from triune.data.fast.hashing import Hashed
from triune.data.fast.parallel import spread
from triune.data.model import DatasetVersion, FileFacts, content_digest

COUNTED_CSV_BYTES = 64 << 20
_WRITABLE = 0o644


def names(path: Path) -> dict[str, Path]:
    """Every file below ``path`` by its relative name; a single file has its own name.

    Raises
    ------
    NotFound: (``dataset-absent``) nothing is there.
    TriuneError: (``artifact-not-plain``) a link or a device is among the files.
    """
    if not path.exists():
        raise NotFound(
            "dataset-absent",
            "the dataset is not there",
            context=str(path),
            hint="Run `triune data build`, or check a version out.",
        )
    if path.is_file():
        return {path.name: path}
    found: dict[str, Path] = {}
    for file in sorted(path.rglob("*")):
        if file.is_symlink() or not (file.is_file() or file.is_dir()):
            raise TriuneError(
                "artifact-not-plain",
                f"{file.relative_to(path)} is not a plain file",
                context=str(path),
                hint="Put a copy of the file in its place.",
            )
        if file.is_file():
            found[file.relative_to(path).as_posix()] = file
    return found


def digests(path: Path) -> dict[str, str]:
    """The digest of every file by its name."""
    return {name: digest_file(file) for name, file in names(path).items()}


def facts(hashed: Iterable[Hashed]) -> tuple[FileFacts, ...]:
    """What is to be recorded about every file."""
    return tuple(_facts(one) for one in hashed)


def _facts(one: Hashed) -> FileFacts:
    name, file, size = one.entry.name, Path(one.entry.path), one.entry.size
    digest = f"sha256:{one.sha256}"
    if file.suffix == ".parquet":
        return FileFacts(name, digest, size, *_parquet_shape(file))
    if file.suffix == ".csv" and size <= COUNTED_CSV_BYTES:
        return FileFacts(name, digest, size, *_csv_shape(file))
    return FileFacts(name, digest, size)


def _parquet_shape(file: Path) -> tuple[int, tuple[str, ...]] | tuple[None, None]:
    import pyarrow
    from pyarrow import parquet

    try:
        metadata = parquet.read_metadata(file)
    except pyarrow.ArrowInvalid:
        # The name promises Parquet and the bytes do not keep it: data like any other.
        return None, None
    return metadata.num_rows, tuple(metadata.schema.to_arrow_schema().names)


def _csv_shape(file: Path) -> tuple[int, tuple[str, ...]] | tuple[None, None]:
    try:
        with file.open(newline="", encoding="utf-8") as text:
            rows = csv.reader(text)
            header = next(rows, [])
            return sum(1 for _ in rows), tuple(header)
    except (UnicodeDecodeError, csv.Error):
        return None, None


def write_checked(version: DatasetVersion, found: Mapping[str, Path], folder: Path) -> None:
    """Copy a version's files into ``folder``, each checked against its hashes.

    Raises
    ------
    Refused: (``artifact-corrupt``) naming the file, or the version when its files are not
    listed one by one.
    """
    recorded = {file.name: file.digest for file in version.files}
    write_objects({name or version.path.name: one for name, one in found.items()}, folder, recorded)
    if not recorded and content_digest(digests(folder)) != version.digest:
        raise Refused(
            "artifact-corrupt",
            f"the files of {version.ref} no longer match its digest",
            context=version.content,
            hint="Build the dataset anew, or restore the remote from a backup.",
        )


def write_objects(
    found: Mapping[str, Path], folder: Path, recorded: Mapping[str, str] | None = None
) -> None:
    """Copy objects into ``folder`` under their names, each checked against its hashes.

    Raises
    ------
    Refused: (``artifact-corrupt``) naming the file.
    """
    digests_ = recorded or {}

    folder.mkdir(parents=True, exist_ok=True)
    base = folder.resolve()
    for parent in {name.rpartition("/")[0] for name in found}:
        inside(base, parent).mkdir(parents=True, exist_ok=True)
    wanted = [
        (name, str(source), str(inside_of(base, name)), digests_.get(name))
        for name, source in found.items()
    ]
    for _ in spread(_write, wanted):
        pass


def _write(one: tuple[str, str, str, str | None]) -> None:
    name, source, target, digest = one
    shard, rest = source.rsplit("/", 2)[1:]
    copy_checked(Path(source), target, Expected(shard + rest, digest), name=name)


def inside_of(base: Path, name: str) -> Path:
    """`inside` for a folder that is resolved already; a name without ``..`` cannot leave it."""
    return base / name if ".." not in name and not name.startswith("/") else inside(base, name)


@dataclass(frozen=True, slots=True)
class Expected:
    """The hashes a file must have: DVC's, and the ledger's where it lists the file."""

    md5: str
    digest: str | None


def copy_checked(source: Path, target: str, expected: Expected, *, name: str) -> None:
    """Copy a file and refuse it, leaving nothing, when its bytes are not the expected ones.

    Raises
    ------
    Refused: (``artifact-corrupt``) naming the file.
    """
    sha256 = expected.digest.removeprefix("sha256:") if expected.digest else None
    try:
        objects.copy_checked(str(source), target, expected.md5, sha256=sha256, mode=_WRITABLE)
    except objects.DamagedObject:
        raise Refused(
            "artifact-corrupt",
            f"the stored bytes of {name!r} no longer match their hash",
            context=str(source),
            hint="Delete that file, so that it is fetched from the remote again; if the remote's "
            "copy is damaged too, restore it from a backup or build the dataset anew.",
        ) from None
