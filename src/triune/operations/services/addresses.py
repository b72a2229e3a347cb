"""Where each service of a workspace answers, and with which secret."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from triune.core.config import Profile
from triune.core.files import read_json, secret, write_json
from triune.core.workspace import Workspace
from triune.operations.services.ports import HOST, Ports

BUCKETS = ("triune", "mlflow", "dvc", "backups")
DATABASES = ("triune", "mlflow", "feast")
DATABASE_USER = "triune"


@dataclass(frozen=True, slots=True)
class S3:
    """An S3 endpoint and who we are there; the secret key is never printed."""

    url: str
    access_key: str
    secret_key: str = field(repr=False)
    region: str = "us-east-1"


@dataclass(frozen=True)
class Addresses:
    """The addresses of one workspace; cheap to make, reads files when asked.

    Ports are chosen free at first use and stay the same. Some values hold a password: they
    are for connecting, not for printing; `public` has the ones that may be shown.
    """

    workspace: Workspace

    @property
    def profile(self) -> Profile:
        """The profile in force: what the last `triune up` chose, else ``triune.toml``'s."""
        chosen = read_json(self._profile_file)
        return Profile(chosen) if chosen else self.workspace.config.workspace.profile

    def choose_profile(self, profile: Profile | None) -> None:
        """Keep a profile other than ``triune.toml``'s until told otherwise; None: go back."""
        if profile is None or profile is self.workspace.config.workspace.profile:
            self._profile_file.unlink(missing_ok=True)
        else:
            write_json(self._profile_file, profile.value)

    @property
    def _profile_file(self) -> Path:
        return self.workspace.state / "profile.json"

    @property
    def ports(self) -> Ports:
        tables = self.workspace.config.services.items()
        fixed = {name: table.port for name, table in tables if table.port is not None}
        return Ports(self.workspace.state / "ports.json", fixed)

    def port(self, name: str) -> int:
        """The loopback port called ``name``: fixed by ``[services.<name>] port`` or recorded."""
        return self.ports.get(name)

    def settle_ports(self, running: Collection[str]) -> None:
        """See `Ports.settle`."""
        self.ports.settle(running)

    def secret(self, name: str) -> str:
        """The secret called ``name``, generated at first use, readable by the owner only."""
        return secret(self.secret_file(name))

    def secret_file(self, name: str) -> Path:
        """Where that secret lies."""
        self.workspace.secrets.mkdir(parents=True, exist_ok=True, mode=0o700)
        return self.workspace.secrets / name

    def at(self, name: str) -> str:
        """``host:port`` of a port's name."""
        return f"{HOST}:{self.port(name)}"

    @property
    def ledger_url(self) -> str:
        """SQLAlchemy URL of the ledger's database."""
        return self._database("triune", self.workspace.ledger_path)

    @property
    def mlflow_tracking_uri(self) -> str:
        """SQLAlchemy URL of MLflow's database, which its client writes to directly."""
        return self._database("mlflow", self.workspace.home / "mlflow" / "mlflow.db")

    def _database(self, name: str, file: Path) -> str:
        if self.profile is Profile.LOCAL:
            return "sqlite:///" + quote(str(file.resolve()), safe="/ ")
        password = quote(self.secret("postgres"), safe="")
        return f"postgresql+psycopg://{DATABASE_USER}:{password}@{self.at('postgres')}/{name}"

    @property
    def mlflow_artifact_root(self) -> str:
        """Where MLflow keeps artifacts: a folder's URI or a bucket's."""
        if self.profile is Profile.LOCAL:
            return (self.workspace.home / "mlflow" / "artifacts").resolve().as_uri()
        return "s3://mlflow"

    @property
    def mlflow_ui(self) -> str | None:
        """MLflow's web page (profile ``server``)."""
        return self._server_only(f"http://{HOST}", "mlflow")

    @property
    def gateway_url(self) -> str:
        """Where callers reach every endpoint."""
        return f"http://{self.at('envoy')}"

    @property
    def envoy_admin_url(self) -> str:
        """The gateway's own page: health, statistics, configuration."""
        return f"http://{self.at('envoy.admin')}"

    @property
    def s3(self) -> S3 | None:
        """The object store; None in profile ``local``, where objects are files."""
        if self.profile is Profile.LOCAL:
            return None
        return S3(f"http://{self.at('seaweedfs')}", "triune", self.secret("s3"))

    @property
    def redis_url(self) -> str | None:
        """Valkey, with its password; None in profile ``local``."""
        if self.profile is Profile.LOCAL:
            return None
        return f"redis://:{quote(self.secret('valkey'), safe='')}@{self.at('valkey')}/0"

    @property
    def feature_registry_url(self) -> str:
        """SQLAlchemy URL of Feast's registry."""
        return self._database("feast", self.workspace.home / "features" / "registry.db")

    @property
    def online_url(self) -> str:
        """The online store, with its password."""
        if self.redis_url is not None:
            return self.redis_url
        return "sqlite:///" + quote(str((self.workspace.home / "features" / "online.db").resolve()))

    @property
    def kafka(self) -> str:
        """``host:port`` of the broker."""
        return self.at("broker")

    @property
    def prefect_api(self) -> str:
        """Prefect's API; its page is beside it."""
        return f"http://{self.at('prefect')}/api"

    @property
    def flags_url(self) -> str:
        """The flag server."""
        return f"http://{self.at('flags')}"

    @property
    def temporal(self) -> str:
        """``host:port`` of Temporal's gRPC frontend."""
        return self.at("temporal")

    @property
    def prometheus_url(self) -> str:
        """Where metrics are asked for."""
        return f"http://{self.at('prometheus')}"

    @property
    def alertmanager_url(self) -> str:
        """Where alerts are sent to."""
        return f"http://{self.at('alertmanager')}"

    def _server_only(self, prefix: str, name: str) -> str | None:
        return None if self.profile is Profile.LOCAL else f"{prefix}:{self.port(name)}"

    def public(self) -> dict[str, str]:
        """Address of every service whose port is known, without secrets."""
        known = self.ports.known()
        return {name: f"{HOST}:{port}" for name, port in sorted(known.items()) if "." not in name}
