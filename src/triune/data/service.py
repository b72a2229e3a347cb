"""The use cases of dataset versions: build, add, verify, check out, look."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from triune.core import entrypoints
from triune.core.config import DatasetTable
from triune.core.errors import Conflict, NotFound, Refused, TriuneError
from triune.core.files import locked
from triune.core.workspace import Workspace
from triune.data import contents, events
from triune.data.comparison import Comparison, compared
from triune.data.fast.index import HashIndex
from triune.data.history import History, split_reference
from triune.data.model import (
    DatasetVersion,
    FileFacts,
    Remote,
    State,
    Status,
    content_digest,
    differences,
    ref_of,
)
from triune.data.ports import ContentStore, Log
from triune.data.swap import fresh_folder, put_in_place

Progress = Callable[[str], None]
_NAMED_DIFFERENCES = 5


def _silent(_: str) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True, slots=True)
class Built:
    """What a build did: where the dataset lies, and whether its bytes changed."""

    name: str
    path: Path
    changed: bool
    files: int
    bytes: int


class Data:
    """The datasets of one workspace. Safe to use from several processes at once."""

    def __init__(
        self, workspace: Workspace, ledger: Log, store: ContentStore, remote: Remote
    ) -> None:
        self._workspace = workspace
        self._ledger = ledger
        self._history = History(workspace.root, ledger)
        self._store = store
        self._remote = remote
        self._index = HashIndex(workspace.home / "data-index")

    def names(self) -> tuple[str, ...]:
        """The datasets that ``triune.toml`` declares."""
        return tuple(self._workspace.config.datasets)

    def path(self, name: str) -> Path:
        """Where the workspace keeps a dataset."""
        return self._workspace.root / self._table(name).path

    def buildable(self, name: str) -> bool:
        """Whether ``triune.toml`` names a build function for it."""
        return self._table(name).build is not None

    def build(self, name: str, *, on_progress: Progress = _silent) -> Built:
        """Run the dataset's build function into a new folder and put that in place.

        The old content stays until the new is complete; kill -9 at any moment leaves one of
        the two. When the bytes are the same, nothing is touched.

        Raises
        ------
        NotFound: ``dataset-unknown``, ``dataset-has-no-build``.
        TriuneError: ``dataset-build-failed`` when the function raises or writes nothing.
        """
        table = self._table(name)
        if table.build is None:
            raise NotFound(
                "dataset-has-no-build",
                f"datasets.{name} names no build function",
                context=str(self.path(name)),
                hint=f"Put the files there yourself, or set datasets.{name}.build.",
            )
        code = self._workspace.root / self._workspace.config.workspace.code
        function = entrypoints.load(table.build, code)
        target = self.path(name)
        with self._locked(name), fresh_folder(target) as folder:
            on_progress(f"building {name}")
            _run_build(function, folder, table.build)
            found = contents.digests(folder)
            size = sum(file.stat().st_size for file in contents.names(folder).values())
            changed = not target.exists() or contents.digests(target) != found
            if changed:
                put_in_place(folder, target)
        on_progress(f"{name}: {len(found)} files, {'new bytes' if changed else 'unchanged'}")
        return Built(name, target, changed, len(found), size)

    def add(
        self, name: str, *, made_by: str | None = None, on_progress: Progress = _silent
    ) -> DatasetVersion:
        """Record the dataset's bytes as a version: in DVC's cache, the remote and the ledger.

        Idempotent: the same bytes are the same version, and are recorded once. ``made_by`` is the
        reference of the stage that made them.

        Raises
        ------
        NotFound: ``dataset-unknown``, ``dataset-absent``.
        Refused: (``dataset-made-by-stage``) a stage makes it, and made other bytes.
        TriuneError: ``dvc-failed``, ``artifact-not-plain``.
        Unavailable: ``remote-unreachable``; the version is then not recorded.
        """
        path = self.path(name)
        with self._locked(name):
            on_progress(f"hashing {name}")
            hashed = self._index.hashes(path, keep=self._store.keep)
            facts = contents.facts(hashed)
            digest = self._digest(path, facts)
            known = self._history.with_digest(name, digest)
            tracked = self._store.tracked(path)
            if known is None or tracked is None or tracked.content != known.content:
                on_progress(f"adding {name} to DVC")
                tracked = self._store.add(path)
            if not self._store.pushed(tracked.content):
                on_progress(f"pushing {name} to {self._remote.url}")
                self._store.push(tracked.content)
            if known is not None:
                return known
            version = DatasetVersion(
                name=name,
                ref=ref_of(name, digest),
                digest=digest,
                path=path,
                count=len(facts),
                bytes=sum(file.bytes for file in facts),
                content=tracked.content,
                dvc_file=tracked.file,
                at=datetime.now(UTC),
                files=events.listed(facts),
            )
            self._record(version, made_by)
        on_progress(f"recorded {version.ref}")
        return version

    def recorded(self, name: str) -> DatasetVersion:
        """The version that DVC's file beside the dataset stands for; no bytes are read.

        Raises
        ------
        NotFound: ``dataset-unknown``; ``dataset-unversioned`` when no version was recorded.
        """
        tracked = self._store.tracked(self.path(name))
        for version in self.log(name):
            if tracked is None or version.content == tracked.content:
                return version
        raise NotFound(
            "dataset-unversioned",
            f"no version of {name!r} as it stands was ever recorded",
            context=str(self.path(name)),
            hint=f"Run `triune data add {name}`.",
        )

    def log(self, name: str) -> Iterator[DatasetVersion]:
        """Every version recorded, the newest first."""
        self._table(name)
        return self._history.of(name)

    def find(self, text: str) -> DatasetVersion:
        """A version by its reference, by ``name@digest`` (shortened or not), or by name.

        Raises
        ------
        NotFound: ``dataset-version-unknown``, ``dataset-unknown``, ``dataset-unversioned``.
        """
        name, wanted = split_reference(text)
        return self._history.find(name, wanted) if wanted else self.recorded(name)

    def status(self, name: str, *, trust: bool = True) -> Status:
        """How the dataset's bytes stand to the version recorded.

        Files that are as the file system last told are not read again; without ``trust`` every
        byte is.
        """
        path = self.path(name)
        try:
            version = self.recorded(name)
        except NotFound:
            state = State.UNVERSIONED if path.exists() else State.ABSENT
            return Status(name, path, state, None)
        if not path.exists():
            return Status(name, path, State.ABSENT, version)
        hashed = self._index.hashes(path, trust=trust)
        found = {one.entry.name: f"sha256:{one.sha256}" for one in hashed}
        if self._total(path, found) == version.digest:
            return Status(name, path, State.CURRENT, version)
        recorded = {file.name: file.digest for file in version.files}
        changes = differences(recorded, found) if recorded else ("its files differ",)
        return Status(name, path, State.CHANGED, version, changes)

    def current(self, name: str) -> DatasetVersion:
        """The recorded version, once every byte on disk was found to be its.

        Raises
        ------
        Refused: (``dataset-changed``) naming each file that differs.
        NotFound: ``dataset-unknown``, ``dataset-unversioned``, ``dataset-absent``.
        """
        version = self.recorded(name)
        contents.names(self.path(name))
        status = self.status(name, trust=False)
        if status.state is State.CURRENT:
            return version
        named = list(status.changes[:_NAMED_DIFFERENCES])
        if len(status.changes) > _NAMED_DIFFERENCES:
            named.append(f"{len(status.changes) - _NAMED_DIFFERENCES} more")
        raise Refused(
            "dataset-changed",
            f"{name!r} is not as recorded: {'; '.join(named)}",
            context=str(version.path),
            hint=f"`triune data add {name}` records it as a new version; "
            f"`triune data checkout {name} --force` brings the recorded one back.",
        )

    def push(self, name: str) -> DatasetVersion:
        """Make sure that the recorded version is in the remote."""
        version = self.recorded(name)
        self._store.push(version.content)
        return version

    def pull(self, name: str) -> DatasetVersion:
        """Bring the version that DVC's file stands for into the cache, and, where nothing lies
        in its place, into the workspace.

        Raises
        ------
        NotFound: ``dataset-unknown``, ``dataset-unversioned``, ``dataset-content-missing``.
        Unavailable: ``remote-unreachable``.
        """
        version = self.recorded(name)
        self._store.objects(version.content)
        if not self.path(name).exists():
            self.restore(version)
        return version

    def diff(self, before: str, after: str = "") -> Comparison:
        """What changed from one version to another; without a second, to what lies on disk.

        Raises
        ------
        NotFound: ``dataset-version-unknown``, ``dataset-unknown``, ``dataset-unversioned``,
            ``dataset-absent``.
        """
        old = self.find(before)
        if after:
            new = self.find(after)
            return compared(old.ref, new.ref, self._facts(old), self._facts(new))
        hashed = self._index.hashes(self.path(old.name))
        return compared(old.ref, "on disk", self._facts(old), contents.facts(hashed))

    def files(self, version: str, *, on_disk: bool = False) -> dict[str, Path]:
        """The files of a version by their names, where they can be read; not to be written to.

        With ``on_disk`` what lies in the workspace, else what is stored, fetched if need be.

        Raises
        ------
        NotFound: ``dataset-version-unknown``, ``dataset-absent``, ``dataset-content-missing``.
        Unavailable: ``remote-unreachable``.
        """
        wanted = self.find(version)
        if on_disk:
            return contents.names(self.path(wanted.name))
        objects = self._store.objects(wanted.content)
        return {name or wanted.path.name: path for name, path in objects.items()}

    def _facts(self, version: DatasetVersion) -> tuple[FileFacts, ...]:
        """Every file of a version, from its event, or from its content where there are too many."""
        if version.files or not version.count:
            return version.files
        objects = self._store.objects(version.content)
        return tuple(
            FileFacts(name, f"md5:{path.parent.name}{path.name}", path.stat().st_size)
            for name, path in objects.items()
        )

    def checkout(self, version: DatasetVersion | str, folder: Path) -> Path:
        """Write a version's files into ``folder``, which must be empty or absent.

        They come from the cache, else from the remote; every byte is hashed on the way.
        Returns what a build or training reads: the folder, or the one file in it.

        Raises
        ------
        Refused: (``artifact-corrupt``) naming the file whose bytes do not match.
        NotFound: ``dataset-content-missing``.
        Conflict: ``folder-not-empty``.
        """
        wanted = self.find(version) if isinstance(version, str) else version
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise Conflict(
                "folder-not-empty",
                "a version is checked out into an empty folder",
                context=str(folder),
                hint="Name another folder, or remove what lies there.",
            )
        with fresh_folder(folder) as fresh:
            self._write(wanted, fresh)
            put_in_place(fresh, folder)
        return folder if wanted.content.endswith(".dir") else folder / wanted.path.name

    def restore(self, version: DatasetVersion | str, *, force: bool = False) -> DatasetVersion:
        """Put a recorded version back into the workspace, and DVC's file with it.

        Raises
        ------
        Refused: (``dataset-changed``) the bytes there were never recorded; ``force`` drops them.
        """
        wanted = self.find(version) if isinstance(version, str) else version
        if not force and self.path(wanted.name).exists():
            self.current(wanted.name)
        with self._locked(wanted.name), fresh_folder(wanted.path) as fresh:
            self._write(wanted, fresh)
            single = not wanted.content.endswith(".dir")
            put_in_place(fresh / wanted.path.name if single else fresh, wanted.path)
            self._store.add(wanted.path)
        return wanted

    def _write(self, version: DatasetVersion, folder: Path) -> None:
        contents.write_checked(version, self._store.objects(version.content), folder)

    def _digest(self, path: Path, facts: tuple[FileFacts, ...]) -> str:
        return self._total(path, {file.name: file.digest for file in facts})

    @staticmethod
    def _total(path: Path, found: dict[str, str]) -> str:
        return found[path.name] if path.is_file() else content_digest(found)

    def _record(self, version: DatasetVersion, made_by: str | None) -> None:
        self._ledger.record(
            [
                events.versioned(
                    version,
                    workspace=self._workspace.name,
                    root=self._workspace.root,
                    remote=self._remote.url,
                    made_by=made_by,
                )
            ]
        )

    def _table(self, name: str) -> DatasetTable:
        datasets = self._workspace.config.datasets
        if name not in datasets:
            raise NotFound(
                "dataset-unknown",
                f"there is no dataset {name!r}",
                context=str(self._workspace.root),
                hint=f"Known: {', '.join(datasets) or 'none'}.",
            )
        return datasets[name]

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        with locked(self._workspace.state / "data" / f"{name}.lock"):
            yield


def _run_build(function: Callable[[Path], None], folder: Path, entry_point: str) -> None:
    try:
        function(folder)
    except TriuneError:
        raise
    except Exception as error:
        raise TriuneError(
            "dataset-build-failed",
            f"{entry_point} raised {type(error).__name__}: {error}",
            context=str(folder),
            hint="The dataset is as it was before. Mend the function and build again.",
        ) from error
    if not any(folder.iterdir()):
        raise TriuneError(
            "dataset-build-failed",
            f"{entry_point} wrote nothing",
            context=str(folder),
            hint="A build function writes files into the folder it is given.",
        )
