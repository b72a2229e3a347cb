"""Plugs the model server into delivery: a release in a place becomes a process."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from triune.core import entrypoints
from triune.core.config import Datatype, slug
from triune.core.files import read_json, write_json
from triune.core.process import HttpReady, ProcessSpec
from triune.core.workspace import Workspace
from triune.delivery.ports import ModelVersion
from triune.delivery.release import Online, Pin, Release
from triune.delivery.releases import Releases, settings
from triune.delivery.smoke import SmokeTest, made_up
from triune.delivery.state import Arm
from triune.models.serving.spec import ModelFile, OnlineSpec, ServingSpec
from triune.models.serving.tensors import TensorSpec

EXAMPLE_FILE = "example.json"
ARM_ORDER = 200
PENDING_BESIDE_FALLBACK = 64
"""Requests that may wait for a slow model: a fallback answers the others at once."""
PENDING_ALONE = 1024
"""The same where waiting is all there is."""
_DIGEST = "[0-9a-f]" * 12


def samples_of(workspace: Workspace, arm: Arm) -> Path:
    """Where an arm's model server notes its answers to requests that are mirrored."""
    return workspace.run_folder / "samples" / f"{arm.upstream}.jsonl"


@dataclass(frozen=True)
class ServingArms:
    """`triune.delivery.ports.Arms` by ``python -m triune.models.serving``.

    The port is the gateway's only way to the process: it listens on loopback. Prometheus
    scrapes it for as long as its target file is there.
    """

    workspace: Workspace
    releases: Releases
    public_key: Path
    online: Callable[[Online], OnlineSpec] | None = None

    def process(self, release: Release, arm: Arm) -> ProcessSpec:
        spec = self._spec(release, arm)
        path = self._folder / f"{arm.upstream}.json"
        spec.save(path)
        self._announce(release, arm)
        return ProcessSpec(
            name=arm.process,
            argv=(sys.executable, "-P", "-m", "triune.models.serving", str(path)),
            ready=HttpReady(f"{arm.url}/v2/health/ready"),
            cwd=self.workspace.root,
            stop_seconds=spec.drain_seconds + 2.0,
            ready_seconds=60.0,
            order=ARM_ORDER,
        )

    def forget(self, arm: Arm) -> None:
        """Its target, and every specification that its process was ever started with."""
        self._target(arm).unlink(missing_ok=True)
        for path in self._folder.glob(f"{arm.process}-{_DIGEST}.json"):
            path.unlink(missing_ok=True)
        samples = samples_of(self.workspace, arm)
        for path in samples.parent.glob(f"{samples.name}*"):
            path.unlink(missing_ok=True)

    @property
    def _folder(self) -> Path:
        return self.workspace.run_folder / "arms"

    def _target(self, arm: Arm) -> Path:
        return self.workspace.run_folder / "targets" / f"{arm.process}.json"

    def _announce(self, release: Release, arm: Arm) -> None:
        labels = {
            "endpoint": release.bundle.endpoint,
            "release": release.ref,
            "arm": arm.colour.value,
        }
        target = {"targets": [arm.url.removeprefix("http://")], "labels": labels}
        write_json(self._target(arm), [target])

    def _spec(self, release: Release, arm: Arm) -> ServingSpec:
        serving = release.bundle.serving
        return ServingSpec(
            endpoint=release.bundle.endpoint,
            model_name=slug(release.bundle.endpoint),
            arm=arm.colour.value,
            release=release.ref,
            model=self._file(release.bundle.model),
            fallback=self._file(serving.fallback) if serving.fallback else None,
            port=arm.port,
            inputs=tuple(TensorSpec(i.name, Datatype(i.datatype), i.width) for i in serving.inputs),
            workers=serving.workers,
            deadline_ms=serving.deadline_ms,
            max_body_bytes=serving.max_body_bytes,
            max_rows=serving.max_rows,
            online=self.online(serving.online) if serving.online and self.online else None,
            samples=samples_of(self.workspace, arm),
            max_pending=PENDING_BESIDE_FALLBACK if serving.fallback else PENDING_ALONE,
        )

    def _file(self, pin: Pin) -> ModelFile:
        version = self.releases.locate(pin)
        return ModelFile(
            ref=pin.ref, path=version.folder, digest=pin.digest, public_key=self.public_key
        )


@dataclass(frozen=True)
class WorkspaceTests:
    """The smoke tests that ``triune.toml`` names for an endpoint."""

    workspace: Workspace

    def __call__(self, release: Release) -> Sequence[SmokeTest]:
        """Raises `EntryPointError` for a test that does not load."""
        code = self.workspace.root / self.workspace.config.workspace.code
        names = settings(self.workspace, release.bundle.endpoint).smoke
        return [SmokeTest(name.rpartition(":")[2], entrypoints.load(name, code)) for name in names]


@dataclass(frozen=True)
class ModelExamples:
    """The example inputs that lie beside a registered model."""

    releases: Releases

    def __call__(self, release: Release) -> Mapping[str, Sequence[Any]]:
        """Empty when the model has none. Columns the endpoint does not take are left out,
        those that only the endpoint takes are made up."""
        version: ModelVersion = self.releases.locate(release.bundle.model)
        content = read_json(version.folder / EXAMPLE_FILE) or {}
        columns: Mapping[str, Sequence[Any]] = content.get("inputs", {})
        return complete(columns, release)


def complete(columns: Mapping[str, Sequence[Any]], release: Release) -> Mapping[str, Sequence[Any]]:
    """The example as the endpoint's callers would send it."""
    declared = release.bundle.serving.inputs
    if not columns or not declared:
        return columns
    rows = len(next(iter(columns.values())))
    neutral = made_up(declared)
    return {item.name: columns.get(item.name, [neutral[item.name][0]] * rows) for item in declared}
