"""A replay in a process of its own, which ends with whoever started it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from triune.app.replay import records
from triune.app.replay.model import Summary
from triune.app.replay.service import Settings
from triune.core.errors import Unavailable
from triune.core.ids import new_id
from triune.core.waiting import wait_until
from triune.core.workspace import Workspace

STOP_SECONDS = 60.0
FIRST_ANSWER_SECONDS = 60.0


@dataclass(frozen=True)
class Background:
    """A running replay. It also ends by itself when this process dies, however it dies."""

    workspace: Workspace
    id: str
    process: subprocess.Popen[bytes]

    @classmethod
    def start(cls, workspace: Workspace, endpoint: str, settings: Settings) -> Background:
        """Start it; `wait_for` tells when it has got answers."""
        identifier = settings.id or new_id()
        arguments = [
            str(workspace.root),
            endpoint,
            "--id",
            identifier,
            "--rate",
            str(settings.rate),
            "--hour-seconds",
            str(settings.hour_seconds),
        ]
        if settings.seconds is not None:
            arguments += ["--seconds", str(settings.seconds)]
        if settings.url is not None:
            arguments += ["--url", settings.url]
        workspace.logs.mkdir(parents=True, exist_ok=True)
        with (workspace.logs / "replay.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "triune.app.replay", *arguments],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
            )
        return cls(workspace, identifier, process)

    @property
    def records(self) -> Path:
        """The file with one line for each request."""
        return records.folder(self.workspace) / f"{self.id}.jsonl"

    def summary(self) -> Summary | None:
        """How it stands, not older than about half a second; None before it began."""
        return records.read_summary(records.folder(self.workspace) / f"{self.id}.json")

    def wait_for(
        self,
        condition: Callable[[Summary], bool],
        *,
        what: str,
        timeout: float = FIRST_ANSWER_SECONDS,
    ) -> Summary:
        """Wait until its summary fulfils a condition; returns that summary.

        Raises
        ------
        Unavailable: ``replay-ended`` when it ended before; ``wait-timed-out``.
        """

        def fulfilled() -> bool:
            summary = self.summary()
            if summary is not None and condition(summary):
                return True
            if self.process.poll() is not None:
                raise self._ended()
            return False

        wait_until(fulfilled, timeout=timeout, what=what, hint="`triune logs replay` says more.")
        summary = self.summary()
        if summary is None:
            raise self._ended()
        return summary

    def stop(self, timeout: float = STOP_SECONDS) -> Summary:
        """End it: requests in flight are answered, outcomes told. Returns the last summary.

        Raises
        ------
        Unavailable: (``replay-ended``) it did not end cleanly.
        """
        if self.process.stdin and not self.process.stdin.closed:
            self.process.stdin.close()
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        summary = self.summary()
        if summary is None or summary.finished is None or self.process.returncode != 0:
            raise self._ended()
        return summary

    def abandon(self) -> None:
        """Stop it without waiting for its last answers; never raises."""
        self.process.kill()
        self.process.wait()

    def _ended(self) -> Unavailable:
        log = self.workspace.logs / "replay.log"
        tail = log.read_text(errors="replace").splitlines()[-5:] if log.exists() else []
        return Unavailable(
            "replay-ended",
            f"the replay ended by itself, with status {self.process.returncode}",
            context=str(log),
            hint=" / ".join(tail) or "Its log is empty.",
        )
