"""The supervising process itself: started clean and detached, ended without a trace."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from triune.core.errors import Refused, Unavailable
from triune.core.files import OWNER_ONLY, write_atomic
from triune.core.waiting import wait_until
from triune.core.workspace import Workspace
from triune.operations.services import logs, processes
from triune.operations.services.backends import supervisord
from triune.operations.services.backends.control import Control, NotListening

FORWARDED = frozenset({"PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR"})
FORWARDED_PREFIXES = ("LC_", "LD_LIBRARY_", "NIX_LD", "COVERAGE_")
_START_SECONDS = 30.0
_END_SECONDS = 30.0


class Daemon:
    """Start and end of one workspace's supervisor; the caller holds the workspace's lock.

    Services see only the variables in ``FORWARDED`` and those their own description gives:
    a token in the caller's shell reaches none of them.
    """

    def __init__(
        self, workspace: Workspace, environment: Mapping[str, str], patience: float
    ) -> None:
        self._workspace = workspace
        self._environment = environment
        self._socket = workspace.sockets / supervisord.SOCKET_NAME
        self.programs = workspace.home / supervisord.PROGRAMS
        self.log = workspace.home / supervisord.LOG_FILE
        self.control = Control(self._socket, timeout=patience)

    def running(self) -> bool:
        """Whether our supervisor answers."""
        try:
            return self.control.identity() == supervisord.identifier(self._workspace.marker)
        except NotListening:
            return False

    def clear_leftovers(self) -> int:
        """End what a crash has left, unless all is well; returns how many there were."""
        if self.running():
            return 0
        cleared = processes.clear(self._workspace.marker)
        self._make_folders()
        self._remove_files()
        return cleared

    def start(self) -> None:
        """Make it run, on clear ground. Raises `Unavailable` (``supervisor-not-started``)."""
        if self.running():
            return
        home = self._workspace.home
        near = self._socket.is_relative_to(home)
        socket = str(self._socket.relative_to(home) if near else self._socket)
        root = os.geteuid() == 0
        main = supervisord.main(socket, self.programs, self._workspace.marker, root=root)
        write_atomic(home / supervisord.MAIN_FILE, main, mode=OWNER_ONLY)
        self._launch()

    def end(self) -> None:
        """Shut it down, clear whatever is left, and check that nothing is.

        Raises
        ------
        Unavailable: (``processes-left``) something would not die.
        """
        self._ask_to_end()
        processes.clear(self._workspace.marker)
        left = processes.marked(self._workspace.marker)
        if left:
            names = ", ".join(f"{process.name} (pid {process.pid})" for process in left)
            raise Unavailable(
                "processes-left",
                f"still running after being killed: {names}",
                hint="They hang in the kernel, or belong to another user; see `ps`.",
            )
        self._remove_files()
        if not self._socket.is_relative_to(self._workspace.home):
            shutil.rmtree(self._socket.parent, ignore_errors=True)

    def _ask_to_end(self) -> None:
        try:
            process = processes.read(self.control.pid())
            self.control.shutdown()
            wait_until(
                lambda: process is None or not process.alive(),
                timeout=_END_SECONDS,
                what="the supervisor ends",
            )
        except NotListening:
            return
        except Unavailable as error:
            if error.reference not in {"supervisor-silent", "wait-timed-out"}:
                raise  # a hanging supervisor is cleared like any leftover

    def _launch(self) -> None:
        argv = [sys.executable, "-P", "-m", "supervisor.supervisord"]
        before = logs.size(self.log)
        with self.log.open("ab") as output:
            code = subprocess.Popen(
                [*argv, "-c", supervisord.MAIN_FILE],
                cwd=self._workspace.home,
                env=self._forwarded(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            ).wait(_START_SECONDS)  # it ends at once: the supervisor is its detached child
        if code == 0:
            wait_until(self.running, timeout=_START_SECONDS, what="the supervisor answers")
            return
        raise Unavailable(
            "supervisor-not-started",
            "the supervisor did not start: " + "\n".join(logs.tail(self.log, 5, since=before)),
            context=str(self.log),
            hint="Mend what it says and run `triune up` again.",
        )

    def _forwarded(self) -> dict[str, str]:
        kept = {
            key: value
            for key, value in self._environment.items()
            if key in FORWARDED or key.startswith(FORWARDED_PREFIXES)
        }
        return {**kept, "TRIUNE_MARKER": self._workspace.marker}

    def _make_folders(self) -> None:
        for folder in (self._workspace.run_folder, self._workspace.logs, self.programs):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            folder.chmod(0o700)
        private_folder(self._socket.parent)

    def _remove_files(self) -> None:
        """What names processes that no longer are."""
        run = self._workspace.run_folder
        for pattern in ("*.conf", "*.json", "*.lock"):
            for path in self.programs.glob(pattern):
                path.unlink(missing_ok=True)
        for path in (
            self._socket,
            self._workspace.home / supervisord.PID_FILE,
            *run.glob("*.ready"),
            *run.glob("*.sock"),
        ):
            path.unlink(missing_ok=True)


def private_folder(folder: Path) -> None:
    """Make the folder ours alone, or refuse it when somebody else was there first."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    status = folder.lstat()
    if folder.is_symlink() or status.st_uid != os.geteuid():
        raise Refused(
            "socket-folder-unsafe",
            "the folder for sockets belongs to somebody else",
            context=str(folder),
            hint="Remove it, or move the workspace to a shorter path.",
        )
    folder.chmod(0o700)
