"""MLflow's web page over the tracking database (profile ``server``).

The database's address holds its password, so it reaches the server through an owner-only
file. Job execution is off: it would start seven more processes that nothing here needs.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from triune.core.process import HttpReady, ProcessSpec
from triune.core.workspace import Workspace
from triune.operations.services.addresses import S3, Addresses
from triune.operations.services.engines.binaries import in_scripts
from triune.operations.services.engines.settings import fingerprint, writer
from triune.operations.services.model import Service
from triune.operations.services.ports import HOST

_LAUNCHER = Path(__file__).with_name("with_secrets.py")


def service(workspace: Workspace, addresses: Addresses, s3: S3) -> Service:
    """Slow to start (it imports for 20 seconds): the last in the order."""
    program = in_scripts("mlflow", "mlflow", "mlflow")
    port = addresses.port("mlflow")
    secrets = workspace.run_folder / "mlflow-environment.json"
    files = {secrets: json.dumps(environment(addresses, s3), indent=2)}
    launcher = (sys.executable, "-I", "-S", str(_LAUNCHER), str(secrets))
    return Service(
        ProcessSpec(
            name="mlflow",
            argv=(
                *launcher,
                str(program),
                *("server", "--host", HOST, "--port", str(port), "--workers", "1"),
                *("--default-artifact-root", addresses.mlflow_artifact_root),
                "--no-serve-artifacts",
            ),
            ready=HttpReady(f"http://{HOST}:{port}/health"),
            env={
                "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
                "MLFLOW_DISABLE_TELEMETRY": "true",
                "DO_NOT_TRACK": "true",
                **fingerprint(files),
            },
            cwd=workspace.engine("mlflow"),
            ready_seconds=180,
            order=50,
        ),
        prepare=writer(files, workspace.engine("mlflow")),
    )


def environment(addresses: Addresses, s3: S3) -> dict[str, str]:
    """The variables that hold secrets."""
    return {
        "MLFLOW_BACKEND_STORE_URI": addresses.mlflow_tracking_uri,
        "MLFLOW_S3_ENDPOINT_URL": s3.url,
        "AWS_ACCESS_KEY_ID": s3.access_key,
        "AWS_SECRET_ACCESS_KEY": s3.secret_key,
        "AWS_DEFAULT_REGION": s3.region,
    }
