"""`triune.toml`: its shape, and a loader that reports every mistake at once.

The shape is strict: an unknown key is an error, and nothing is guessed. The dataclass-like
models below are frozen; the rest of Triune only ever sees them, never the raw table.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    Field,
    StringConstraints,
    ValidationError,
)

from triune.core.abtest_config import (
    FieldTable,
    HoldoutTable,
    SegmentTable,
    SliceTable,
    TestMetricTable,
    TestName,
    TestTable,
    TestVariantTable,
)
from triune.core.backup_config import BackupTable
from triune.core.errors import ConfigError, Problem
from triune.core.expect_config import ColumnTable, ExpectTable
from triune.core.feature_config import FeatureStoreTable, OnlineTable
from triune.core.flow_config import FlowTable
from triune.core.mistakes import closest, problems
from triune.core.rollout_config import MetricTable, RolloutTable, StrictTable, mistakes
from triune.core.stream_config import AggregateTable, StreamTable

FILE_NAME = "triune.toml"

EntryPoint = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]
EndpointName = Annotated[
    str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,62}(/[a-z0-9][a-z0-9_-]{0,62})*$")
]


def _stays_inside(value: str) -> str:
    path = PurePosixPath(value)
    if not value or path.is_absolute() or ".." in path.parts:
        raise ValueError("leaves the workspace; write a path relative to it")
    return value


RelativePath = Annotated[str, AfterValidator(_stays_inside)]


class Profile(StrEnum):
    """Which engines a workspace runs on."""

    LOCAL = "local"
    SERVER = "server"


class Datatype(StrEnum):
    """Tensor element types of the Open Inference Protocol that endpoints accept."""

    FP32 = "FP32"
    FP64 = "FP64"
    INT32 = "INT32"
    INT64 = "INT64"
    BOOL = "BOOL"
    BYTES = "BYTES"


class WorkspaceTable(StrictTable):
    """``[workspace]``: who this is and which profile it runs on."""

    name: Name = Field(description="the workspace's name, in every event")
    profile: Profile = Field(
        default=Profile.LOCAL, strict=False, description="which engines it runs on"
    )
    code: RelativePath = Field(default="src", description="folder of the workspace's own code")


_OUTSIDE = "patterns of files and peers (`tcp://host:port`) it reads that are not data"


class DatasetTable(StrictTable):
    """``[datasets.<name>]``: a folder or file that DVC versions."""

    path: RelativePath = Field(description="folder or file, relative to the workspace")
    build: EntryPoint | None = Field(
        default=None, description="`build(folder)`: writes the dataset's files"
    )
    expect: tuple[ExpectTable, ...] = Field(
        default=(), strict=False, description="what `triune data check` holds its tables to"
    )


class StageTable(StrictTable):
    """``[stages.<name>]``: what DVC does not ask of a stage of `dvc.yaml`."""

    outside: tuple[str, ...] = Field(default=(), strict=False, description=_OUTSIDE)


class FeatureTable(StrictTable):
    """``[features.<name>]``: a function from dataset to columns."""

    function: EntryPoint = Field(description="`view(data) -> DataFrame`, point-in-time correct")
    dataset: Name = Field(description="the dataset it reads")
    description: str = Field(default="", description="a sentence for people")


class TrainingTable(StrictTable):
    """``[trainings.<name>]``: one way to make a model."""

    function: EntryPoint = Field(description="`train(context)`: logs to its run, saves a model")
    dataset: Name = Field(description="the dataset it trains on")
    features: tuple[Name, ...] = Field(
        default=(), strict=False, description="the feature views it uses"
    )
    history: tuple[str, ...] = Field(
        default=(),
        strict=False,
        description="features of the feature store that `context.history` joins: `view` or "
        "`view:feature`",
    )
    model: Name = Field(description="the name its model is registered under")
    seed: int = Field(default=0, description="seed of every random generator")
    params: dict[str, str | int | float | bool] = Field(
        default_factory=dict, description="parameters, recorded with the run"
    )
    outside: tuple[str, ...] = Field(default=(), strict=False, description=_OUTSIDE)


class InputTable(StrictTable):
    """``[[endpoints.<name>.inputs]]``: one named column an endpoint's callers send."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=200)] = Field(
        description="the tensor's name"
    )
    datatype: Datatype = Field(strict=False, description="its element type")
    width: Annotated[int, Field(ge=1, le=100_000)] = Field(default=1, description="numbers per row")


class EndpointTable(StrictTable):
    """``[endpoints.<name>]``: a stable name users call, and how it is served."""

    model: Name = Field(description="the registered model it serves versions of")
    inputs: tuple[InputTable, ...] = Field(
        default=(),
        strict=False,
        description="its contract with callers; a release may use fewer, never others",
    )
    online: OnlineTable | None = Field(
        default=None, description="inputs looked up in the feature store"
    )
    workers: Annotated[int, Field(ge=1, le=64)] = Field(
        default=1, description="server processes for each release"
    )
    deadline_ms: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="after this the fallback answers, marked `degraded`"
    )
    fallback: str | None = Field(
        default=None, description="model version that answers late requests, e.g. `delay@1`"
    )
    max_body_bytes: Annotated[int, Field(ge=1024)] = Field(
        default=4 * 1024 * 1024, description="largest request body"
    )
    max_rows: Annotated[int, Field(ge=1)] = Field(
        default=10_000, description="most rows in one request"
    )
    smoke: tuple[EntryPoint, ...] = Field(
        default=(), strict=False, description="`test(client)`: the workspace's own smoke tests"
    )
    smoke_latency_ms: Annotated[float, Field(gt=0)] = Field(
        default=50.0, description="p99 a candidate must stay under in its smoke test"
    )
    rollback_window_s: Annotated[float, Field(ge=0)] = Field(
        default=300.0, description="how long the old release is kept running"
    )
    health_interval_ms: Annotated[float, Field(ge=50, le=10_000)] = Field(
        default=200.0, description="pause between two health checks of a new release"
    )
    health_failures: Annotated[int, Field(ge=1, le=100)] = Field(
        default=2, description="failed checks in a row that roll it back"
    )
    traffic: EntryPoint | None = Field(
        default=None, description="`requests(data)`: recorded traffic for `triune replay`"
    )
    rollout: RolloutTable | None = Field(
        default=None, description="how releases reach its users; without it blue-green"
    )


class ServiceTable(StrictTable):
    """``[services.<name>]``: fix a port or leave a service out."""

    port: Annotated[int, Field(ge=1, le=65535)] | None = Field(
        default=None, description="fixed port; otherwise a free one is chosen and kept"
    )
    enabled: bool = Field(default=True, description="false leaves the service out")


class LoopTable(StrictTable):
    """``[loop]``: which trainings play which part in `triune loop`."""

    endpoint: EndpointName = Field(description="the endpoint it plays on")
    first: Name = Field(description="training of release A, the first to serve")
    better: Name = Field(description="training of release B, which replaces A")
    canary: Name = Field(description="training of release C, as good as B: a canary promotes it")
    harmful: Name = Field(description="training of release D, which a canary must roll back")
    broken: Name = Field(description="training of release E, which a smoke test must catch")
    failing: Name = Field(description="training of release F, which fails after its switch")
    rate: Annotated[float, Field(gt=0, le=10_000)] = Field(
        default=200.0, description="requests per second of the replayed traffic"
    )
    online: EndpointName | None = Field(
        default=None, description="endpoint whose releases look features up; asked at `moments`"
    )
    moments: tuple[AwareDatetime, ...] = Field(
        default=(),
        strict=False,
        description="times of recorded requests, in order; features are brought up to each",
    )


SERVICE_NAMES = (
    "envoy",
    "ingest",
    "guard",
    "tracker",
    "controller",
    "temporal",
    "prometheus",
    "alertmanager",
    "postgres",
    "valkey",
    "seaweedfs",
    "mlflow",
    "broker",
    "streams",
    "prefect",
    "flows",
    "backups",
    "flags",
    "tests",
)


class Config(StrictTable):
    """The whole of `triune.toml`."""

    workspace: WorkspaceTable
    datasets: dict[Name, DatasetTable] = Field(default_factory=dict)
    stages: dict[str, StageTable] = Field(default_factory=dict)
    features: dict[Name, FeatureTable] = Field(default_factory=dict)
    trainings: dict[Name, TrainingTable] = Field(default_factory=dict)
    endpoints: dict[EndpointName, EndpointTable] = Field(default_factory=dict)
    services: dict[str, ServiceTable] = Field(default_factory=dict)
    loop: LoopTable | None = None
    feature_store: FeatureStoreTable | None = None
    streams: dict[Name, StreamTable] = Field(default_factory=dict)
    flows: dict[Name, FlowTable] = Field(default_factory=dict)
    backup: BackupTable | None = None
    tests: dict[TestName, TestTable] = Field(default_factory=dict)
    holdout: HoldoutTable | None = None


def _dangling(table: dict[str, Any], file: str) -> list[Problem]:
    """References inside the file that lead nowhere; read from the raw table, so that they
    are found even where another key is wrong."""
    found: list[Problem] = []

    def section(name: str) -> dict[str, Any]:
        value = table.get(name, {})
        return value if isinstance(value, dict) else {}

    def rows(name: str) -> list[tuple[str, dict[str, Any]]]:
        return [(key, row) for key, row in section(name).items() if isinstance(row, dict)]

    def require(key: str, name: object, known: Iterable[str], noun: str) -> None:
        names = list(known)
        if isinstance(name, str) and name not in names:
            what = f"there is no {noun} named {name!r}"
            found.append(Problem(file, key, what, closest(name, names)))

    for name, feature in rows("features"):
        key = f"features.{name}.dataset"
        require(key, feature.get("dataset"), section("datasets"), "dataset")
    for name, training in rows("trainings"):
        key = f"trainings.{name}"
        require(f"{key}.dataset", training.get("dataset"), section("datasets"), "dataset")
        views = training.get("features", [])
        for view in views if isinstance(views, list) else []:
            require(f"{key}.features", view, section("features"), "feature view")
    for name, endpoint in rows("endpoints"):
        if isinstance(endpoint.get("rollout"), dict):
            found.extend(mistakes(name, endpoint["rollout"], file))
    for name in section("services"):
        require(f"services.{name}", name, SERVICE_NAMES, "service")
    for name, flow in rows("flows"):
        for part in ("build", "check"):
            listed = flow.get(part, [])
            for one in listed if isinstance(listed, list) else []:
                require(f"flows.{name}.{part}", one, section("datasets"), "dataset")
    for name, test in rows("tests"):
        key = f"tests.{name}.endpoint"
        require(key, test.get("endpoint"), section("endpoints"), "endpoint")
    loop = section("loop")
    for part in ("endpoint", "online"):
        require(f"loop.{part}", loop.get(part), section("endpoints"), "endpoint")
    for part in ("first", "better", "canary", "harmful", "broken", "failing"):
        require(f"loop.{part}", loop.get(part), section("trainings"), "training")
    return found


def load(root: Path) -> Config:
    """Read and check ``root/triune.toml``.

    Raises
    ------
    ConfigError: with *every* problem, each naming file, key path, what and how to mend.
    """
    path = root / FILE_NAME
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            [Problem(str(path), "", "the file does not exist", "Run `triune init` to write one.")]
        ) from None
    except UnicodeDecodeError as error:
        raise ConfigError(
            [Problem(str(path), "", f"not UTF-8: {error.reason}", "Save the file as UTF-8.")]
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            [Problem(str(path), "", f"not TOML: {error}", "Mend the syntax at that place.")]
        ) from None
    return parse(table, str(path))


def parse(table: dict[str, Any], file: str = FILE_NAME) -> Config:
    """Check a table that was read already; raises `ConfigError` with every problem."""
    dangling = _dangling(table, file)
    try:
        config = Config.model_validate(table)
    except ValidationError as error:
        raise ConfigError(problems(error, file, _known_keys) + dangling) from None
    if dangling:
        raise ConfigError(dangling)
    return config


def _known_keys(location: list[str]) -> list[str]:
    """The keys allowed at a place, found by walking the models along its path."""
    tables: dict[str, type[BaseModel]] = {
        "workspace": WorkspaceTable,
        "datasets": DatasetTable,
        "features": FeatureTable,
        "trainings": TrainingTable,
        "endpoints": EndpointTable,
        "services": ServiceTable,
        "loop": LoopTable,
        "feature_store": FeatureStoreTable,
        "streams": StreamTable,
        "flows": FlowTable,
        "backup": BackupTable,
        "tests": TestTable,
        "holdout": HoldoutTable,
    }
    if not location:
        return list(Config.model_fields)
    model = tables.get(location[0], Config)
    if location[0] == "endpoints" and "inputs" in location:
        model = InputTable
    if location[0] == "endpoints" and "rollout" in location:
        model = MetricTable if "metrics" in location else RolloutTable
    if location[0] == "endpoints" and "online" in location:
        model = OnlineTable
    if location[0] == "datasets" and "expect" in location:
        model = ColumnTable if "columns" in location else ExpectTable
    if location[0] == "streams" and "features" in location:
        model = AggregateTable
    if location[0] == "tests":
        model = next((table for key, table in _OF_TEST.items() if key in location), TestTable)
    return list(model.model_fields)


_OF_TEST: dict[str, type[BaseModel]] = {
    "denominator": FieldTable,
    "metrics": TestMetricTable,
    "variants": TestVariantTable,
    "layer": SliceTable,
    "segments": SegmentTable,
}


def slug(endpoint: str) -> str:
    """An endpoint's name as one word: for processes, clusters and model names."""
    return re.sub(r"[^a-z0-9_-]", "-", endpoint)
