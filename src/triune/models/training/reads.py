"""Telling apart what a training or stage was seen to read: its data, its code, its environment,
itself.

What is left over is a file or a peer that no version records, and is named as such. Nothing
here depends on what it says of itself.
"""

from __future__ import annotations

import os
import site
import sys
import sysconfig
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path

import triune
from triune.core.errors import TriuneError
from triune.core.git import git
from triune.core.ids import digest_file
from triune.core.reads.model import FileRead, Seen
from triune.core.workspace import Workspace
from triune.models import provenance
from triune.models.ports import Datasets
from triune.models.tracking.frames import Reads, Unversioned
from triune.models.training.spec import READ_ROLE

MOST_LISTED = 100
_SYSTEM = (
    "/usr/",
    "/lib/",
    "/lib64/",
    "/bin/",
    "/sbin/",
    "/etc/",
    "/run/",
    "/var/cache/",
    "/nix/store/",
)
_NO_VERSION = "no version records it: make it a dataset in triune.toml, or declare it `outside`"


class Kind(StrEnum):
    """What a file that was read is to its reader."""

    DATA = "data"
    CODE = "code"
    ENVIRONMENT = "environment"
    STATE = "state"
    OUTSIDE = "outside"
    UNVERSIONED = "unversioned"


@dataclass(frozen=True, slots=True)
class Declared:
    """What is known beforehand of a process that is watched.

    Attributes
    ----------
    own: files and folders that Triune keeps for it
    given: files and folders that are its inputs already
    refs: references that it is recorded to be made from
    outside: patterns of files and peers that are no data
    """

    own: tuple[str | Path, ...]
    given: tuple[str | Path, ...]
    refs: frozenset[str] = frozenset()
    outside: tuple[str, ...] = ()


@dataclass
class Sorter:
    """Tells apart the reads of one process, and its children, in one workspace."""

    workspace: Workspace
    datasets: Datasets
    declared: Declared
    _found: dict[str, str] = field(default_factory=dict)
    _why: dict[str, str] = field(default_factory=dict)

    def sort(self, seen: Seen) -> Reads:
        """What is recorded of the reads; never raises what `TriuneError` covers."""
        now = time.time_ns() // 1000
        try:
            return self._sorted(seen, now)
        except TriuneError as error:
            return Reads(now, seen.capture.value, failed=error.message)

    def _sorted(self, seen: Seen, now: int) -> Reads:
        counts = dict.fromkeys(Kind, 0)
        left: list[FileRead] = []
        excused: list[str] = []
        for read in sorted(seen.files.values(), key=lambda one: one.path):
            kind = self._kind(read.path)
            counts[kind] += 1
            if kind is Kind.UNVERSIONED:
                left.append(read)
            elif kind is Kind.OUTSIDE:
                excused.append(read.path)
        peers = sorted(seen.connections)
        return Reads(
            time=now,
            capture=seen.capture.value,
            inputs=[
                (ref, READ_ROLE) for ref in sorted(set(self._found.values()) - self.declared.refs)
            ],
            unversioned=[self._unversioned(read) for read in left[:MOST_LISTED]],
            more=max(0, len(left) - MOST_LISTED),
            connections=[peer for peer in peers if not self._is_outside(peer)],
            outside=[*excused[:MOST_LISTED], *filter(self._is_outside, peers)],
            counts={kind.value: count for kind, count in counts.items() if count},
            lost=seen.lost,
        )

    def _kind(self, path: str) -> Kind:
        if _below(path, self._own) or path.startswith(self._git_folder):
            return Kind.STATE
        if _below(path, self._given):
            return Kind.DATA
        if path.startswith((self._runs, self._models)):
            return self._of_output(path)
        for place, name in self._places.items():
            if _below(path, (place,)):
                return self._of_dataset(path, name)
        return self._of_no_dataset(path)

    def _of_no_dataset(self, path: str) -> Kind:
        if self._is_outside(path):
            return Kind.OUTSIDE
        if _below(path, self._software):
            return Kind.ENVIRONMENT
        return Kind.CODE if self._is_code(path) else Kind.UNVERSIONED

    def _of_output(self, path: str) -> Kind:
        """A file that another run kept, or a registered model's: that is what it comes from."""
        if path.startswith(self._runs):
            self._found[path] = f"run:{path.removeprefix(self._runs).partition('/')[0]}"
        else:
            name, number, *_ = path.removeprefix(self._models).split("/")
            self._found[path] = f"model:{name}@{number}"
        return Kind.DATA

    def _of_dataset(self, path: str, name: str) -> Kind:
        """A file of a declared dataset that it does not name: an input all the same."""
        if name not in self._found and name not in self._why:
            try:
                self._found[name] = self.datasets.current(name).ref
            except TriuneError as error:
                self._why[name] = f"dataset {name!r}: {error.message}"
        if name in self._found:
            return Kind.DATA
        self._why[path] = self._why[name]
        return Kind.UNVERSIONED

    def _unversioned(self, read: FileRead) -> Unversioned:
        why = self._why.get(read.path, _NO_VERSION)
        try:
            facts = os.stat(read.path)
            if (facts.st_size, facts.st_mtime_ns) == (read.size, read.mtime_ns):
                return Unversioned(read.path, digest_file(Path(read.path)), read.size, why)
            gone = "it was changed after it was read"
        except OSError:
            gone = "it was gone when the run ended"
        return Unversioned(read.path, "", read.size, f"{gone}; {why}")

    def _is_outside(self, text: str) -> bool:
        relative = os.path.relpath(text, self._root) if text.startswith("/") else text
        return any(
            fnmatchcase(text, one) or fnmatchcase(relative, one) for one in self.declared.outside
        )

    def _is_code(self, path: str) -> bool:
        if path in self._code:
            return True
        folder, name = os.path.split(path)
        if os.path.basename(folder) != "__pycache__":
            return False
        source = os.path.join(os.path.dirname(folder), name.partition(".")[0] + ".py")
        return source in self._code

    @cached_property
    def _root(self) -> str:
        return os.path.realpath(self.workspace.root)

    @cached_property
    def _git_folder(self) -> str:
        answer = git(Path(self._root), "rev-parse", "--absolute-git-dir")
        return os.path.realpath(os.fsdecode(answer).strip()) + "/"

    @cached_property
    def _runs(self) -> str:
        return os.path.realpath(self.workspace.runs) + "/"

    @cached_property
    def _models(self) -> str:
        return os.path.realpath(self.workspace.artifacts) + "/"

    @cached_property
    def _own(self) -> tuple[str, ...]:
        return tuple(os.path.realpath(place) for place in self.declared.own)

    @cached_property
    def _given(self) -> tuple[str, ...]:
        return tuple(os.path.realpath(place) for place in self.declared.given)

    @cached_property
    def _places(self) -> dict[str, str]:
        names = self.datasets.names()
        return {os.path.realpath(self.datasets.path(name)): name for name in names}

    @cached_property
    def _code(self) -> frozenset[str]:
        """Every file whose content the run's commit gives back."""
        root = Path(self._root)
        listing = ("ls-files", "-z", "--cached", "--others", "--exclude-standard")
        names = git(root, *listing, "--", *provenance.SOURCES)
        left_out = {os.path.join(self._root, name) for name in provenance.current(root).left_out}
        found = (os.path.join(self._root, os.fsdecode(n)) for n in names.split(b"\0") if n)
        return frozenset(os.path.realpath(path) for path in found if path not in left_out)

    @cached_property
    def _software(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(_software()))


def _software() -> Iterator[str]:
    """Where installed software, and the settings of libraries, lie."""
    yield from (place.rstrip("/") for place in _SYSTEM)
    places = [sys.prefix, sys.base_prefix, sys.exec_prefix, *sysconfig.get_paths().values()]
    places += [*site.getsitepackages(), site.getusersitepackages(), *triune.__path__]
    yield from (os.path.realpath(place) for place in places)
    home = os.path.realpath(Path.home())
    yield from (f"{home}/{name}" for name in (".config", ".cache/matplotlib", ".cache/fontconfig"))
    for variable in ("MPLCONFIGDIR", "NUMBA_CACHE_DIR", "XDG_CONFIG_HOME"):
        if os.environ.get(variable):
            yield os.path.realpath(os.environ[variable])


def _below(path: str, places: tuple[str, ...]) -> bool:
    return any(path == place or path.startswith(place + "/") for place in places)
