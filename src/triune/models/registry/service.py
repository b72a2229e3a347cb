"""The registry's use cases: register, alias, get, list, verify."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from triune.core.errors import NotFound, Refused
from triune.core.files import locked, read_json, write_atomic, write_json
from triune.core.ids import digest_tree, new_id
from triune.core.workspace import Workspace
from triune.ledger.envelope import Edge, Event, event
from triune.ledger.ports import Query
from triune.ledger.service import Ledger
from triune.models.registry import assembly, card, facts, signing
from triune.models.registry.model import LATEST, ModelVersion, check_name, split, version_ref
from triune.models.tracking.catalog import RunCatalog
from triune.models.tracking.model import RunRecord, RunStatus
from triune.models.training.saving import EXAMPLE, MODEL, ONNX, ONNX_NOTE


@dataclass(frozen=True)
class Registry:
    """The model versions of one workspace. The ledger says which there are; their files lie in
    ``.triune/artifacts/<model>/<number>/``."""

    workspace: Workspace
    ledger: Ledger

    def register(self, run: str, name: str | None = None) -> ModelVersion:
        """Make the run's model the next version of ``name`` (default: the training's model).

        Registering the same run under the same name again gives the version it has.

        Raises
        ------
        NotFound: ``run-not-found``, ``run-without-model``.
        Refused: ``run-unfinished``, ``artifact-changed``, ``model-name-invalid``.
        """
        record = RunCatalog(self.workspace, self.ledger).get(run)
        model = check_name(name or record.details.get("model", ""), "name of a model")
        source = self._source(record)
        with self._locked(model):
            self._tell_untold(model)
            known = {version.number: version for version in self.versions(model)}
            for version in known.values():
                if version.run == record.ref:
                    return version
            folder = self.workspace.artifacts / model
            number = 1 + max([0, *known, *assembly.numbers(folder)])
            with assembly.staged(folder, number) as staging:
                self._fill(staging, source, record, model, number)
            self._tell_untold(model)
        return self.get(version_ref(model, number))

    def alias(self, name: str, alias: str, number: int) -> ModelVersion:
        """Point ``name@alias`` at a version; one event, and the last one counts.

        Raises
        ------
        NotFound: ``model-not-found``.
        Refused: ``model-name-invalid``.
        """
        check_name(alias, "name of an alias")
        version = self.get(version_ref(name, number))
        previous = self._aliases(name).get(alias)
        if previous != number:
            payload = {"name": name, "alias": alias, "version": number, "previous": previous}
            self.ledger.record([self._event("model.aliased", version.ref, payload)])
        return self.get(version.ref)

    def get(self, name: str) -> ModelVersion:
        """The version ``delay@2``, ``delay@champion``, ``model:delay@2``, or the newest.

        Raises
        ------
        NotFound: ``model-not-found``.
        """
        model, which = split(name)
        versions = self.versions(model)
        aliases = self._aliases(model)
        for version in reversed(versions):
            if which in (LATEST, str(version.number)) or aliases.get(which) == version.number:
                return version
        labels = [str(version.number) for version in versions] + sorted(aliases)
        raise NotFound(
            "model-not-found",
            f"there is no model version {name!r}",
            hint=f"Known of {model!r}: {', '.join(labels)}."
            if versions
            else f"Known models: {', '.join(sorted(self.names())) or 'none; run `triune train`'}.",
        )

    def names(self) -> list[str]:
        """Every model that has a version."""
        found = self.ledger.select(Query(kind="model.registered"))
        return sorted({str(stored.event.payload["name"]) for stored in found})

    def versions(self, name: str | None = None) -> list[ModelVersion]:
        """The versions of one model, or of all, oldest first."""
        found = self.ledger.select(Query(kind="model.registered"))
        events = [s.event for s in found if name in (None, s.event.payload["name"])]
        aliases = {model: self._aliases(model) for model in {e.payload["name"] for e in events}}
        return [self._version(e, aliases[e.payload["name"]]) for e in events]

    def verify(self, name: str) -> ModelVersion:
        """The version, once its signature holds and its bytes are those in the ledger.

        A refusal is an event too.

        Raises
        ------
        Refused: (``model-unsigned``, ``model-tampered``) naming the files.
        """
        version = self.get(name)
        try:
            if not version.folder.is_dir():
                raise signing.tampered(version.folder, "the folder is missing")
            signing.verify(version.folder, self.public_key)
            if digest_tree(version.folder, leave_out=[signing.SIGNATURE]) != version.digest:
                raise signing.tampered(version.folder, "its digest is not the one in the ledger")
        except Refused as refusal:
            payload = {"name": version.name, "reason": refusal.message, "error": refusal.reference}
            self.ledger.record([self._event("model.refused", version.ref, payload)])
            raise
        return version

    @property
    def public_key(self) -> Path:
        """The key that signatures are checked with."""
        return self.workspace.keys / signing.PUBLIC

    def _source(self, record: RunRecord) -> Path:
        """The run's artifacts, once they are known to be as they were recorded."""
        if record.status is not RunStatus.FINISHED:
            raise Refused(
                "run-unfinished",
                f"the run is {record.status}, so its model is not registered",
                context=record.ref,
                hint="Register a run that finished.",
            )
        folder = self.workspace.runs / record.id / "artifacts"
        if MODEL not in record.artifacts:
            raise NotFound(
                "run-without-model",
                "the run kept no model",
                context=record.ref,
                hint="Call context.save_model(model, example=...) in the training function.",
            )
        found = digest_tree(folder / MODEL) if (folder / MODEL).is_dir() else "nothing"
        if found != record.artifacts[MODEL]:
            raise Refused(
                "artifact-changed",
                f"the run's model is not as it was recorded: {found}",
                context=str(folder / MODEL),
                hint="Run the training again, or restore the file from a backup.",
            )
        return folder

    def _fill(self, staging: Path, source: Path, record: RunRecord, name: str, number: int) -> None:
        shutil.copytree(source / MODEL, staging / "mlflow")
        if (source / ONNX).is_dir():
            shutil.copytree(source / ONNX, staging / "onnx")
        if (source / EXAMPLE).is_file():
            shutil.copyfile(source / EXAMPLE, staging / "example.json")
        gathered = facts.gather(
            record,
            workspace=self.workspace,
            run_artifacts=source,
            folder=staging,
            name=name,
            number=number,
            event=new_id(),
            onnx=read_json(source / ONNX_NOTE) or {"form": False, "reason": "none was made"},
        )
        write_json(staging / "facts.json", gathered)
        write_atomic(staging / "card.md", card.write(gathered))
        signing.make_key(self.workspace.keys)
        signing.sign(staging, self.workspace.keys / signing.PRIVATE)

    def _tell_untold(self, name: str) -> None:
        """Tell the ledger of versions that are on disk and not in it yet."""
        told = {version.number for version in self.versions(name)}
        folder = self.workspace.artifacts / name
        for number in assembly.numbers(folder):
            if number not in told:
                self.ledger.record([self._registered(folder / str(number))])

    def _registered(self, folder: Path) -> Event:
        told = read_json(folder / "facts.json")
        payload = {
            "name": told["name"],
            "version": told["version"],
            "run": told["run"]["ref"],
            "digest": digest_tree(folder, leave_out=[signing.SIGNATURE]),
            "metrics": told["run"]["metrics"],
            "onnx": told["onnx"],
            "files": told["files"],
        }
        return event(
            "model.registered",
            told["ref"],
            workspace=self.workspace.name,
            payload=payload,
            edges=(Edge(told["ref"], told["run"]["ref"], "run"),),
            identifier=told["event"],
        )

    def _version(self, told: Event, aliases: Mapping[str, int]) -> ModelVersion:
        name, number = str(told.payload["name"]), int(told.payload["version"])
        return ModelVersion(
            name=name,
            number=number,
            digest=str(told.payload["digest"]),
            folder=self.workspace.artifacts / name / str(number),
            run=str(told.payload["run"]),
            registered=told.time,
            actor=told.actor,
            aliases=tuple(sorted(alias for alias, n in aliases.items() if n == number)),
        )

    def _aliases(self, name: str) -> dict[str, int]:
        found: dict[str, int] = {}
        for stored in self.ledger.select(Query(kind="model.aliased")):
            told = stored.event.payload
            if told["name"] == name:
                found[str(told["alias"])] = int(told["version"])
        return found

    def _event(self, kind: str, subject: str, payload: Mapping[str, Any]) -> Event:
        return event(kind, subject, workspace=self.workspace.name, payload=payload)

    def _locked(self, name: str) -> Any:
        return locked(self.workspace.state / "models" / f"{name}.lock")
