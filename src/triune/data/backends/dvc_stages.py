"""The stages of `dvc.yaml`, through DVC: their order, their state, their lock and their cache.

`dvc repro` removes a stage's outputs before it runs it. Here the command runs beside them instead
(`triune.data.pipelines.scratch`), and DVC's own functions then record what it made, so that
`dvc.lock` and the cache are what `dvc repro` would have left: plain `dvc status` finds nothing.
DVC names stages and finds their files by the current folder, so it is called in the workspace's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from triune.core.config import FILE_NAME
from triune.core.errors import ConfigError, NotFound, Problem, Refused
from triune.core.mistakes import closest
from triune.data.backends import dvc_locks as locks
from triune.data.backends.dvc import DvcStore
from triune.data.pipelines.model import Facts, Piece, StageState

Run = Callable[["Stage"], None]


@dataclass(frozen=True)
class Stage:
    """One stage while the repository is open."""

    made: Any
    repo: Any

    @property
    def name(self) -> str:
        with chdir(self.repo.root_dir):
            return str(self.made.addressing)

    @property
    def commands(self) -> tuple[str, ...]:
        command = self.made.cmd
        return (command,) if isinstance(command, str) else tuple(command)

    @property
    def folder(self) -> str:
        """Where its command runs, relative to the workspace."""
        return str(Path(self.made.wdir).relative_to(self.repo.root_dir))

    def outs(self, *, persist: bool | None = None) -> list[str]:
        """Paths of its outputs, relative to the workspace."""
        return [
            Path(out.fs_path).relative_to(self.repo.root_dir).as_posix()
            for out in self.made.outs
            if persist is None or bool(out.persist) is persist
        ]

    def inputs(self) -> list[str]:
        """Paths of all that it depends on, files of parameters included."""
        return [str(dep.fs_path) for dep in self.made.deps]

    def changes(self) -> tuple[str, ...]:
        """Why it is to be run; nothing when it is not."""
        if self.name not in locks.stages(Path(self.repo.root_dir)):
            return ("it has never run",)
        with chdir(self.repo.root_dir), self.repo.lock:
            if not self.made.changed():
                return ()
            told = self.made.status().get(self.made.addressing, [])
        return tuple(_reasons(told)) or ("DVC says so",)

    def restore(self) -> bool:
        """Take its outputs from the cache, where it has run with these inputs before.

        Raises
        ------
        Refused: (``stage-input-missing``) naming what is not there.
        """
        from dvc.exceptions import ConfirmRemoveError
        from dvc.stage.cache import RunCacheNotFoundError

        missing = [str(dep) for dep in self.made.deps if not dep.exists]
        if missing:
            raise Refused(
                "stage-input-missing",
                f"stage {self.name!r} needs {', '.join(missing)}, which is not there",
                context=str(self.repo.root_dir),
                hint="Build or check out the dataset, or mend deps in dvc.yaml.",
            )
        with chdir(self.repo.root_dir), self.repo.lock:
            try:
                self.repo.stage_cache.restore(self.made)
            except (RunCacheNotFoundError, ConfirmRemoveError):
                return False  # it has not run so, or an output was changed by hand
            self._record()
        return True

    def record(self) -> None:
        """Write its lock and put its outputs into the cache."""
        with chdir(self.repo.root_dir), self.repo.lock:
            self._record()

    def _record(self) -> None:
        self.made.save()
        self.made.commit()
        self.made.dump(update_pipeline=False)

    def facts(self) -> Facts:
        """What it is made of, once its lock is written."""
        from dvc.dependency import ParamsDependency

        deps = [dep for dep in self.made.deps if not isinstance(dep, ParamsDependency)]
        params: dict[str, Any] = {}
        for dep in self.made.deps:
            if isinstance(dep, ParamsDependency):
                params |= dict(dep.hash_info.value or {})
        return Facts(
            self.name, self.commands, _pieces(deps, self.repo), _pieces(self.made.outs, self.repo),
            params,
        )  # fmt: skip


@dataclass(frozen=True)
class DvcStages:
    """The pipeline of one workspace. ``declared`` are the names of ``[stages.<name>]``."""

    store: DvcStore
    declared: tuple[str, ...] = ()

    @contextmanager
    def stages(self, names: Sequence[str] = ()) -> Iterator[list[Stage]]:
        """The named stages and all that they need, those that others need first; all when none
        are named.

        Raises
        ------
        NotFound: ``pipeline-missing`` (there is no stage in any `dvc.yaml`), ``stage-unknown``.
        ConfigError: ``triune.toml`` says something of stages that there are not.
        TriuneError: (``dvc-failed``) the pipeline is broken, as by a cycle.
        """
        with self.store.opened() as repo:
            order: dict[str, Any] = {}
            with chdir(repo.root_dir):
                graph = repo.index.graph
                known = {s.addressing: s for s in repo.index.stages if getattr(s, "cmd", None)}
                self._require(names, known)
                for stage in [known[name] for name in names] or list(known.values()):
                    _needed_first(stage, graph, order)
            yield [Stage(s, repo) for name, s in order.items() if name in known]

    def _require(self, names: Sequence[str], known: dict[str, Any]) -> None:
        if not known:
            raise NotFound(
                "pipeline-missing",
                "there is no stage to run",
                context=str(self.store.root / "dvc.yaml"),
                hint="Write stages with cmd, deps and outs into dvc.yaml.",
            )
        unknown = [name for name in self.declared if name not in known]
        if unknown:
            words = "no `dvc.yaml` has this stage"
            raise ConfigError(
                [Problem(FILE_NAME, f"stages.{n}", words, closest(n, known)) for n in unknown]
            )
        for name in names:
            if name not in known:
                raise NotFound(
                    "stage-unknown",
                    f"there is no stage {name!r}",
                    context=str(self.store.root / "dvc.yaml"),
                    hint=closest(name, known),
                )


def _needed_first(stage: Any, graph: Any, order: dict[str, Any]) -> None:
    if stage.addressing in order:
        return
    for needed in sorted(graph.successors(stage), key=lambda one: str(one.addressing)):
        _needed_first(needed, graph, order)
    order[stage.addressing] = stage


def _reasons(told: Sequence[Any]) -> Iterator[str]:
    """DVC's status of a stage as sentences."""
    for entry in told:
        if isinstance(entry, str):
            yield {"changed command": "its command changed"}.get(entry, entry)
            continue
        for what, paths in entry.items():
            noun = what.removeprefix("changed ").removesuffix("s")
            for path, how in paths.items():
                detail = ", ".join(how) if isinstance(how, dict) else how
                yield f"{ {'dep': 'input', 'out': 'output'}.get(noun, noun) } {path}: {detail}"


def _pieces(found: Sequence[Any], repo: Any) -> tuple[Piece, ...]:
    return tuple(
        Piece(
            Path(one.fs_path).relative_to(repo.root_dir).as_posix()
            if Path(one.fs_path).is_relative_to(repo.root_dir)
            else str(one.fs_path),
            str(one.hash_info.value or ""),
            one.meta.size if one.meta else None,
        )
        for one in found
    )


STATES = {False: StageState.UNCHANGED, True: StageState.CHANGED}
