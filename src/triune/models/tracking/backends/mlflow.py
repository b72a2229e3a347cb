"""MLflow as the tracker: its client writes to the database directly, no server is needed."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from triune.core.errors import NotFound, Refused, TriuneError, Unavailable
from triune.core.ids import key_of
from triune.models.tracking.model import RunRecord, RunStatus
from triune.models.tracking.ports import Point

RUN_TAG = "triune.run"
REF_TAG = "triune.ref"
LONGEST_PARAM = 6000
MOST_POINTS, MOST_PARAMS, MOST_TAGS = 1000, 100, 100

_STATUS = {
    RunStatus.RUNNING: "RUNNING",
    RunStatus.FINISHED: "FINISHED",
    RunStatus.FAILED: "FAILED",
    RunStatus.KILLED: "KILLED",
}
_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_ENABLE_ASYNC_LOGGING": "false",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "GIT_PYTHON_REFRESH": "quiet",
}
_GONE = {"RESOURCE_DOES_NOT_EXIST"}
_REFUSED = {"INVALID_PARAMETER_VALUE", "INVALID_STATE", "BAD_REQUEST", "PERMISSION_DENIED"}
_log = logging.getLogger(__name__)
_Item = TypeVar("_Item")


class MlflowTracker:
    """Runs of one workspace as one MLflow experiment; MLflow is imported at first use.

    ``credentials`` are settings that MLflow and its S3 client read from the environment of
    this process, e.g. ``MLFLOW_S3_ENDPOINT_URL``.
    """

    def __init__(
        self,
        tracking_uri: str,
        artifact_root: str,
        experiment: str,
        credentials: Mapping[str, str] | None = None,
    ) -> None:
        self._uri = tracking_uri
        self._artifact_root = artifact_root
        self._name = experiment
        self._credentials = dict(credentials or {})

    @property
    def identity(self) -> str:
        parts = urlsplit(self._uri)
        place = f"{parts.scheme}://{parts.hostname}:{parts.port}{parts.path}"
        return hashlib.sha256(place.encode()).hexdigest()[:12]

    def find(self, identifier: str) -> str | None:
        with self._translated():
            found = self._client.search_runs(
                [self._experiment], f"tags.`{RUN_TAG}` = '{identifier}'", max_results=1
            )
            return str(found[0].info.run_id) if found else None

    def create(self, record: RunRecord) -> str:
        with self._translated():
            run = self._client.create_run(
                self._experiment,
                start_time=record.started // 1000,
                run_name=record.name,
                tags=_tags(record),
            )
            return str(run.info.run_id)

    def log(
        self,
        tracked: str,
        *,
        points: Sequence[Point] = (),
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        with self._translated():
            from mlflow.entities import Metric, Param, RunTag

            for some in _pieces(points, MOST_POINTS):
                metrics = [Metric(p.name, p.value, p.time // 1000, p.step) for p in some]
                self._client.log_batch(tracked, metrics=metrics)
            for pairs in _pieces(list((params or {}).items()), MOST_PARAMS):
                kept = [Param(name, value[:LONGEST_PARAM]) for name, value in pairs]
                self._client.log_batch(tracked, params=kept)
            for pairs in _pieces(list((tags or {}).items()), MOST_TAGS):
                self._client.log_batch(
                    tracked, tags=[RunTag(n, v[:LONGEST_PARAM]) for n, v in pairs]
                )

    def keep(self, tracked: str, name: str, path: Path) -> None:
        with self._translated():
            if path.is_dir():
                self._client.log_artifacts(tracked, str(path), name)
                return
            folder = str(Path(name).parent)
            self._client.log_artifact(tracked, str(path), None if folder == "." else folder)

    def end(self, tracked: str, status: RunStatus, time: int) -> None:
        with self._translated():
            self._client.set_terminated(tracked, _STATUS[status], time // 1000)

    def mirror_version(self, name: str, number: int, *, ref: str, tracked: str, card: str) -> None:
        with self._translated():
            self._ensure_model(name)
            for version in self._client.search_model_versions(f"name='{name}'"):
                if version.tags.get(REF_TAG) == ref:
                    return
            source = f"{self._client.get_run(tracked).info.artifact_uri}/model"
            made = self._client.create_model_version(
                name, source, run_id=tracked, tags={REF_TAG: ref}, description=card
            )
            if int(made.version) != number:
                _log.warning("%s is version %s of %s in MLflow", ref, made.version, name)

    def mirror_alias(self, name: str, alias: str, number: int) -> None:
        with self._translated():
            for version in self._client.search_model_versions(f"name='{name}'"):
                if version.tags.get(REF_TAG) == f"model:{name}@{number}":
                    self._client.set_registered_model_alias(name, alias, version.version)
                    return
            _log.warning("model:%s@%s is not in MLflow; its alias %s waits", name, number, alias)

    def _ensure_model(self, name: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    @cached_property
    def _client(self) -> Any:
        os.environ.update(_SETTINGS | self._credentials)
        parts = urlsplit(self._uri)
        if parts.scheme == "sqlite":
            Path(unquote(parts.path[1:])).parent.mkdir(parents=True, exist_ok=True)
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=self._uri, registry_uri=self._uri)

    @cached_property
    def _experiment(self) -> str:
        known = self._client.get_experiment_by_name(self._name)
        if known is not None:
            return str(known.experiment_id)
        location = f"{self._artifact_root.rstrip('/')}/{self._name}"
        return str(self._client.create_experiment(self._name, artifact_location=location))

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """MLflow's and its stores' errors as ours, without a password in them."""
        try:
            yield
        except Exception as error:
            if not type(error).__module__.startswith(_FOREIGN):
                raise
            code = getattr(error, "error_code", "")
            if code in _GONE | _REFUSED:
                raise _answer(error, code) from error
            self.__dict__.pop("_client", None)
            self.__dict__.pop("_experiment", None)
            raise Unavailable(
                "mlflow-unreachable",
                f"MLflow did not take it: {_first_line(error)}",
                context=urlsplit(self._uri).scheme,
                hint="Start its database with `triune up`; what is not there yet stays in the "
                "runs' journals and is sent later.",
            ) from error


def _answer(error: Exception, code: str) -> TriuneError:
    if code in _GONE:
        return NotFound(
            "mlflow-run-gone",
            f"MLflow has the run no more: {_first_line(error)}",
            hint="It is sent again from its journal.",
        )
    return Refused(
        "mlflow-refused",
        f"MLflow will not take it: {_first_line(error)}",
        hint="If the run was deleted in MLflow, restore it there or leave it.",
    )


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:300]}"


_FOREIGN = ("mlflow", "sqlalchemy", "psycopg", "sqlite3", "boto", "alembic", "urllib3")


def _tags(record: RunRecord) -> dict[str, str]:
    tags = {RUN_TAG: record.id, "mlflow.user": record.actor.partition(":")[2]}
    roles = dict.fromkeys(role for _, role in record.inputs)
    for role in roles:
        tags[f"triune.{role}"] = ", ".join(ref for ref, its in record.inputs if its == role)
    commit = record.input("commit")
    if commit:
        tags["mlflow.source.git.commit"] = key_of(commit).partition("+")[0]
    for name, value in record.details.items():
        tags[f"triune.{name}"] = value
    return {name: value for name, value in tags.items() if value}


def _pieces(items: Sequence[_Item], most: int) -> Iterator[Sequence[_Item]]:
    for start in range(0, len(items), most):
        yield items[start : start + most]
