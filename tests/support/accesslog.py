"""A gateway's access log without a gateway, for tests of the ingester.

``python -m tests.support.accesslog ingest FOLDER ROTATE_BYTES`` ingests until it is killed.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path

from triune.core.ids import new_id
from triune.delivery.ingest import Ingester
from triune.ledger.service import Ledger

RELEASE = "release:flights-delay@0123456789ab"


def served(prediction: str | None = None) -> bytes:
    """A line of an answered request."""
    fields = {
        "start_us": str(time.time_ns() // 1000),
        "status": 200,
        "endpoint": "flights/delay",
        "prediction": prediction or new_id(),
        "release": RELEASE,
        "duration_us": 1000,
        "request": new_id(),
    }
    return json.dumps(fields).encode() + b"\n"


def failed() -> bytes:
    """A line of a request that the gateway had to answer itself."""
    fields = {
        "start_us": str(time.time_ns() // 1000),
        "status": 503,
        "endpoint": "flights/delay",
        "upstream_release": RELEASE,
        "request": new_id(),
    }
    return json.dumps(fields).encode() + b"\n"


class LogWriter:
    """Writes like Envoy: keeps its file open, over a rename, until told to open it anew."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("ab", buffering=0)
        self._reopen = threading.Event()

    def write(self, data: bytes) -> None:
        # Envoy opens anew at its next write, not at the moment it is told.
        if self._reopen.is_set() or self.path.with_name("reopen").exists():
            self._reopen.clear()
            self.path.with_name("reopen").unlink(missing_ok=True)
            self._file.close()
            self._file = self.path.open("ab", buffering=0)
        self._file.write(data)

    def reopen(self) -> None:
        self._reopen.set()

    def close(self) -> None:
        self._file.close()


def open_ledger(folder: Path) -> Ledger:
    return Ledger.open(f"sqlite:///{folder / 'ledger.db'}", folder / "journal", workspace="flights")


def main(folder: Path, rotate_bytes: int) -> None:
    """Ingest until killed; a writer in another process is told to reopen by a file."""
    ingester = Ingester(
        folder / "access.log",
        open_ledger(folder),
        (folder / "reopen").touch,
        workspace="flights",
        status=folder / "ingest.json",
        rotate_bytes=rotate_bytes,
    )
    print("ready", flush=True)
    ingester.run(threading.Event(), print)


if __name__ == "__main__":
    main(Path(sys.argv[2]), int(sys.argv[3]))
