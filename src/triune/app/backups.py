"""Backups with their ports plugged: restic, and the engines of a workspace or a restored copy."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from triune.core.config import Profile
from triune.core.errors import NotFound, Refused
from triune.core.workspace import Workspace
from triune.data.backends.restic import Restic
from triune.data.backups.model import Manifest, Repository
from triune.data.backups.ports import Databases, Objects, WriteOnce
from triune.data.backups.service import Backups
from triune.operations.services.addresses import BUCKETS, DATABASE_USER, DATABASES, S3, Addresses
from triune.operations.services.engines.binaries import of_system
from triune.operations.services.ports import HOST

if TYPE_CHECKING:
    from triune.app.context import Context

_KEYS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_DEFAULT_REGION",
)
BUCKET = "backups"
LOCKED = "backups-locked"


def use_cases(context: Context) -> Backups:
    """The backups of a workspace."""
    repository = repository_of(context)
    return Backups(
        context.workspace,
        context.ledger,
        restic(context.workspace, repository),
        Engines(),
        vault(context, repository),
    )


def vault(context: Context, repository: Repository) -> WriteOnce | None:
    """The locked bucket that ``locked_days`` asks for; None where it asks for none.

    Raises
    ------
    Refused: (``backup-bucket-unlocked``) the repository is a folder.
    """
    days = context.workspace.config.backup.locked_days if context.workspace.config.backup else 0
    if not days:
        return None
    if not repository.url.startswith("s3:"):
        raise Refused(
            "backup-bucket-unlocked",
            "a folder cannot be locked against changes",
            context=repository.url,
            hint="Name an S3 repository in [backup], or take `locked_days` out.",
        )
    from triune.data.backends.s3_lock import LockedBucket
    from triune.operations.services.engines.s3_buckets import client

    scheme, _, rest = repository.url.removeprefix("s3:").partition("://")
    host, _, path = rest.partition("/")
    bucket, _, prefix = path.partition("/")
    known = repository.environment
    s3 = S3(
        f"{scheme}://{host}",
        known.get("AWS_ACCESS_KEY_ID", ""),
        known.get("AWS_SECRET_ACCESS_KEY", ""),
        known.get("AWS_DEFAULT_REGION", "us-east-1"),
    )
    return LockedBucket(client(s3), bucket, prefix, days)


def restic(workspace: Workspace, repository: Repository) -> Restic:
    """restic for a repository. Raises `MissingEngine` (``engine-missing``)."""
    program = of_system("restic", "restic", "restic")
    return Restic(program, repository, workspace.home.resolve() / "backup-cache")


def repository_of(context: Context) -> Repository:
    """The repository that ``[backup]`` names, or the one of the profile."""
    workspace, addresses = context.workspace, context.addresses
    table = workspace.config.backup
    password = addresses.secret_file("backup")
    addresses.secret("backup")
    url = table.repository if table is not None else None
    if url is None and addresses.s3 is None:
        url = str(workspace.home.resolve() / "backups")
    if url is None:
        bucket = LOCKED if table is not None and table.locked_days else BUCKET
        assert addresses.s3 is not None
        url = f"s3:{addresses.s3.url}/{bucket}/{workspace.name}"
    if not url.startswith("s3:"):
        return Repository(url, password.resolve())
    own = addresses.s3 is not None and url.startswith(f"s3:{addresses.s3.url}/")
    return Repository(url, password.resolve(), keys(addresses.s3 if own else None))


def keys(s3: S3 | None) -> Mapping[str, str]:
    """The keys of the workspace's own object store, for restic's environment; for a store
    elsewhere those of the environment, named as everywhere."""
    if s3 is None:
        return {name: value for name, value in os.environ.items() if name in _KEYS}
    return {
        "AWS_ACCESS_KEY_ID": s3.access_key,
        "AWS_SECRET_ACCESS_KEY": s3.secret_key,
        "AWS_DEFAULT_REGION": s3.region,
    }


class Engines:
    """`triune.data.backups.ports.Servers` by the workspace's own services."""

    def start(self, workspace: Path) -> None:
        """PostgreSQL and the object store in profile ``server``; in ``local`` all are files."""
        from triune.app import services
        from triune.app.context import Context

        context = Context(Workspace(workspace))
        if context.addresses.profile is Profile.LOCAL:
            return
        wanted = {"postgres", "seaweedfs"}
        services.up_only(context, wanted)

    def stop(self, workspace: Path) -> None:
        """Stop all of it, whatever state it is in, and drop what root keeps outside."""
        import shutil

        from triune.operations.services.engines.postgres import SYSTEM_FOLDER
        from triune.operations.services.supervisor import Supervisor

        found = Workspace(workspace)
        supervisor = Supervisor(found)
        if supervisor.running():
            supervisor.down()
        if workspace.parent.name.startswith("backup-drill"):
            shutil.rmtree(SYSTEM_FOLDER / found.marker, ignore_errors=True)

    def databases(self, workspace: Path) -> Databases | None:
        """PostgreSQL's in profile ``server``."""
        from triune.data.backends.postgres_dumps import Cluster, PostgresDumps
        from triune.operations.services.engines import postgres

        found = Workspace(workspace)
        addresses = Addresses(found)
        if addresses.profile is Profile.LOCAL:
            return None
        return PostgresDumps(
            Cluster(
                postgres.place(found).programs,
                HOST,
                addresses.port("postgres"),
                DATABASE_USER,
                DATABASES,
                addresses.secret("postgres"),
            )
        )

    def objects(self, workspace: Path) -> Objects | None:
        """The object store's in profile ``server``; topics are not among them, since the broker
        keeps them in a form of its own that only a stopped one could be copied in."""
        from triune.data.backends.s3_objects import S3Objects
        from triune.operations.services.engines.s3_buckets import client

        s3 = Addresses(Workspace(workspace)).s3
        if s3 is None:
            return None
        return S3Objects(client(s3), [name for name in BUCKETS if name not in ("streams", BUCKET)])

    def examine(self, workspace: Path, manifest: Manifest) -> dict[str, Any]:
        """Open the restored ledger and trace the newest artifact that was in it."""
        from triune.app.context import Context
        from triune.ledger.ports import Query

        context = Context(Workspace(workspace))
        try:
            ledger = context.ledger
            gaps = []
            if manifest.artifact:
                try:
                    gaps = [f"{g.ref}: {g.what}" for g in ledger.lineage(manifest.artifact).gaps]
                except NotFound as error:
                    gaps = [error.message]
            if manifest.last_event and ledger.get(manifest.last_event) is None:
                gaps.append(f"event {manifest.last_event} is missing")
            return {"events": ledger.count(Query()), "gaps": gaps}
        finally:
            context.close()
