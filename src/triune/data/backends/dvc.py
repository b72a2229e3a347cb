"""Dataset content in DVC: its cache, its files beside the data, its remotes.

DVC runs in this process; importing it takes most of a second, so that what can be answered
from its documented file layout (``files/md5/<2 hex>/<30 hex>``, a folder's listing as JSON)
is answered without it. Plain ``dvc status``, ``dvc checkout`` and ``dvc push`` work on the
same files.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from triune.core.errors import NotFound, Refused, TriuneError, Unavailable
from triune.core.files import OWNER_ONLY, inside, own_folder, write_atomic
from triune.data.backends import dvc_locks as locks
from triune.data.fast import objects, pointer, transfer
from triune.data.fast.hashing import Keep
from triune.data.fast.index import HashIndex
from triune.data.model import Remote
from triune.data.ports import Tracked

REMOTE = "triune"
FOLDER_MARK = ".dir"
IGNORED = ".triune"
_HASH_FOLDER = Path("files", "md5")


@dataclass(frozen=True)
class DvcStore:
    """The DVC repository at ``root``, made at first use; ``home`` is for DVC's own index."""

    root: Path
    home: Path
    remote: Remote

    def add(self, path: Path) -> Tracked:
        made = locks.of(self.root, path)
        if made is not None:
            return self._made(made, path)
        self._set_up()
        hashed = self._index.hashes(path, keep=self.keep)
        transfer.take(self._cache, hashed)
        content = hashed[0].md5 if hashed else ""
        if path.is_dir():
            content, raw = transfer.listing(hashed)
            objects.put(self._cache, content, raw)
        objects.sync(self._cache)
        pointer.write(path, content, hashed, ignore=_inside_git(self.root))
        return Tracked(content, pointer.file_of(path))

    @property
    def keep(self) -> Keep:
        return objects.Keeper(self._cache)

    @property
    def _index(self) -> HashIndex:
        return HashIndex(self.home.parent / "data-index")

    def tracked(self, path: Path) -> Tracked | None:
        file = path.with_name(path.name + ".dvc")
        if not file.is_file():
            return locks.of(self.root, path)
        import yaml

        try:
            out = yaml.safe_load(file.read_text())["outs"][0]
            return Tracked(str(out["md5"]), file)
        except (yaml.YAMLError, LookupError, TypeError) as error:
            raise TriuneError(
                "dvc-file-invalid",
                f"the file does not say which content it stands for: {error}",
                context=str(file),
                hint="Restore it from git, or delete it and run `triune data add`.",
            ) from error

    def _made(self, made: Tracked, path: Path) -> Tracked:
        """What a stage made and its lock tells, if the bytes are still those."""
        with self.opened() as repo:
            (out,) = repo.find_outs_by_path(str(path))
            if out.status():
                raise Refused(
                    "dataset-made-by-stage",
                    "its bytes are not those that its stage made",
                    context=f"{path}, stage {out.stage.addressing}",
                    hint="`triune data run` makes them anew.",
                )
        return made

    def push(self, content: str) -> None:
        if self.remote.folder is not None:
            self._push_to(self.remote.folder / _HASH_FOLDER, content)
            return
        if self.pushed(content):
            return
        from dvc_data.hashfile.hash_info import HashInfo

        with self.opened() as repo, _reaching(self.remote):
            keys = {content, *self._listing(content, self._cache).values()}
            result = repo.cloud.push([HashInfo("md5", key) for key in keys], remote=REMOTE)
        if result.failed:
            raise Unavailable(
                "remote-unreachable",
                f"{len(result.failed)} files did not reach the remote",
                context=self.remote.url,
                hint="See `triune status`; then run `triune data push`.",
            )

    def _push_to(self, store: Path, content: str) -> None:
        """Files first and the listing last, so that a listing never names what is not there."""
        if not _object(self._cache, content).is_file():
            if self.pushed(content):
                return
            raise self._missing(content)
        keys = dict.fromkeys(self._listing(content, self._cache).values())
        try:
            transfer.copy_missing(self._cache, store, keys)
            transfer.copy_missing(self._cache, store, {content: None})
            objects.sync(store)
        except objects.DamagedObject as error:
            raise Refused(
                "artifact-corrupt",
                "an object of the cache no longer matches its hash",
                context=str(error),
                hint="Delete that file and run `triune data add` again.",
            ) from error
        except OSError as error:
            raise _unreachable(self.remote, error) from error

    def pushed(self, content: str) -> bool:
        folder = self.remote.folder
        if folder is None:
            return False
        store = folder / _HASH_FOLDER
        if not _object(store, content).is_file():
            return False
        return objects.holds(store, self._listing(content, store).values())

    def objects(self, content: str) -> dict[str, Path]:
        if not self._cached(content):
            self._pull(content)
        if not _object(self._cache, content).is_file():
            raise self._missing(content)
        listing = self._listing(content, self._cache)
        if not objects.holds(self._cache, listing.values()):
            for name, key in listing.items():
                if not _object(self._cache, key).is_file():
                    raise self._missing(name)
        return {name: Path(objects.place(self._cache, key)) for name, key in listing.items()}

    def _missing(self, what: str) -> NotFound:
        return NotFound(
            "dataset-content-missing",
            f"{what} is neither in the cache nor in the remote",
            context=self.remote.url,
            hint="Push it from a machine that has it, or build the dataset anew.",
        )

    @property
    def _cache(self) -> Path:
        return self.root / ".dvc" / "cache" / _HASH_FOLDER

    def _cached(self, content: str) -> bool:
        if not _object(self._cache, content).is_file():
            return False
        return objects.holds(self._cache, self._listing(content, self._cache).values())

    def _listing(self, content: str, store: Path) -> dict[str, str]:
        """The key of each name inside the content."""
        if not content.endswith(FOLDER_MARK):
            return {"": content}
        file = _object(store, content)
        raw = file.read_bytes()
        md5 = hashlib.md5(raw, usedforsecurity=False).hexdigest()
        if md5 != content.removesuffix(FOLDER_MARK):
            raise Refused(
                "artifact-corrupt",
                "the listing of a dataset's files no longer matches its hash",
                context=str(file),
                hint="Delete that file, so that it is fetched from the remote again.",
            )
        listing = {entry["relpath"]: entry["md5"] for entry in json.loads(raw)}
        for name in listing:
            if name.startswith("/") or ".." in name:
                inside(self.root, name)
        return listing

    def _pull(self, content: str) -> None:
        from dvc_data.hashfile.hash_info import HashInfo

        with self.opened() as repo, _reaching(self.remote):
            repo.cloud.pull([HashInfo("md5", content)], remote=REMOTE)
            if _object(self._cache, content).is_file():
                inner = self._listing(content, self._cache).values()
                repo.cloud.pull([HashInfo("md5", key) for key in inner], remote=REMOTE)

    @contextmanager
    def opened(self) -> Iterator[Any]:
        """DVC's own `Repo`, made at first use; its exceptions become ours (``dvc-failed``)."""
        from dvc.exceptions import DvcException
        from dvc.repo import Repo

        # DVC's import sets its own level; below it come only hints for its command line.
        logging.getLogger("dvc").setLevel(logging.CRITICAL)
        self._set_up()
        try:
            _have_a_name()
            repo = Repo(str(self.root))
            try:
                yield repo
            finally:
                repo.close()
        except DvcException as error:
            raise TriuneError(
                "dvc-failed",
                f"DVC: {error}",
                context=str(self.root),
                hint="`dvc status -v` in that folder says more.",
            ) from error

    def _set_up(self) -> None:
        """Make the folder a DVC repository, and write what is true of this machine only.

        The three files are those of ``dvc init``, which would also touch the git index.
        """
        own_folder(self.home)  # DVC keeps pickled content there, in folders open to everybody
        folder = self.root / ".dvc"
        texts = {
            folder / "config": _config_text(self.root, self.home),
            folder / ".gitignore": "/config.local\n/tmp\n/cache\n",
            self.root / ".dvcignore": f"/{IGNORED}\n",
        }
        for file, text in texts.items():
            if not file.exists():
                write_atomic(file, text)
        self._write_local(folder / "config.local", no_scm=not _inside_git(self.root))

    def _write_local(self, file: Path, *, no_scm: bool) -> None:
        """Keep what a person wrote there; secrets make the file the owner's only."""
        from configobj import ConfigObj  # type: ignore[import-untyped]

        before = file.read_text() if file.exists() else ""
        config = ConfigObj(before.splitlines(), interpolation=False, list_values=False)
        core = config.setdefault("core", {})
        core["site_cache_dir"] = str(self.home)
        if no_scm:
            core["no_scm"] = "true"
        section = f'remote "{REMOTE}"'
        config.pop(section, None)
        if self.remote.folder is None:
            settings = {
                "url": self.remote.url,
                "endpointurl": self.remote.endpoint,
                "access_key_id": self.remote.access_key,
                "secret_access_key": self.remote.secret_key,
                "region": self.remote.region,
            }
            config[section] = {k: v for k, v in settings.items() if v is not None}
        text = "\n".join(config.write()) + "\n"
        if text != before:
            write_atomic(file, text, mode=OWNER_ONLY)


def _config_text(root: Path, home: Path) -> str:
    """The part of DVC's configuration that belongs into git."""
    url = os.path.relpath(home.parent / "dvc-remote", root / ".dvc")
    return (
        "[core]\n    analytics = false\n    check_update = false\n"
        f"    remote = {REMOTE}\n['remote \"{REMOTE}\"']\n    url = {url}\n"
    )


def _object(store: Path, key: str) -> Path:
    return store / key[:2] / key[2:]


def _inside_git(root: Path) -> bool:
    here = root.resolve()
    return any((folder / ".git").exists() for folder in (here, *here.parents))


@contextmanager
def _reaching(remote: Remote) -> Iterator[None]:
    """Foreign exceptions of the transport become one of ours; secrets stay out of it."""
    try:
        yield
    except OSError as error:
        raise _unreachable(remote, error) from error
    except Exception as error:
        if type(error).__module__.split(".")[0] in ("botocore", "aiobotocore", "aiohttp", "s3fs"):
            raise _unreachable(remote, error) from error
        raise


def _unreachable(remote: Remote, error: Exception) -> Unavailable:
    return Unavailable(
        "remote-unreachable",
        f"the dataset remote does not answer: {type(error).__name__}: {error}",
        context=remote.url,
        hint="`triune up` starts the object store of profile `server`.",
    )


def _have_a_name() -> None:
    """DVC asks for the user's name, which a container's user may lack."""
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["LOGNAME"] = f"uid-{os.getuid()}"
