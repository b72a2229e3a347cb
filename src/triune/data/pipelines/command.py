"""Running a stage's command: watched, and gone when its starter is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from triune.core.errors import TriuneError
from triune.core.parenthood import die_with_parent
from triune.core.reads.model import Seen
from triune.core.reads.watcher import Watcher

TAIL_LINES = 15
STOP_SECONDS = 10.0
REST_SECONDS = 2.0


def run(
    name: str, commands: Sequence[str], folder: Path, log: Path, extra: Mapping[str, str]
) -> Seen:
    """Run the commands of a stage one after another in ``folder``; output goes to ``log``.

    When this process is killed, so is the command; what a command leaves running is ended with
    it. Returns what they all read.

    Raises
    ------
    TriuneError: (``stage-failed``) with how it ended and its last lines.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    seen = Seen()
    with log.open("wb") as output:
        for command in commands:
            watcher = Watcher(seen=seen)
            channel = watcher.theirs.fileno()
            child = subprocess.Popen(
                [sys.executable, "-P", "-m", "triune.core.reads.shell", str(channel), command],
                pass_fds=(channel,),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env={**os.environ, **extra, "PWD": str(folder)},
                start_new_session=True,
                preexec_fn=die_with_parent,  # noqa: PLW1509  # no other thread holds a lock here
            )
            watcher.start()
            try:
                code = child.wait()
            except BaseException:
                _stop(child)
                raise
            if code != 0:
                raise _failed(name, command, code, log)
            if not _end_rest(child, watcher):
                seen.lost += 1
    own, connections = set(seen.own), set(seen.connections)
    return replace(seen, files=dict(seen.files), own=own, connections=connections)


def environment(root: Path, code: str) -> dict[str, str]:
    """What a stage's command finds: this Python first, and the workspace's own code."""
    paths = [str(root / code), os.environ.get("PYTHONPATH", "")]
    return {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
        "DVC_ROOT": str(root),
    }


def _stop(child: subprocess.Popen[bytes]) -> None:
    os.killpg(child.pid, signal.SIGTERM)
    try:
        child.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def _end_rest(child: subprocess.Popen[bytes], watcher: Watcher) -> bool:
    """End what it left running: nobody would answer for its reads any more. Whether all is gone:
    what has made a session of its own is not, and what it reads from now on is not known."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    return watcher.wait(REST_SECONDS)


def _failed(name: str, command: str, code: int, log: Path) -> TriuneError:
    lines = log.read_text(errors="replace").rstrip().splitlines()
    how = f"ended by signal {-code}" if code < 0 else f"exit status {code}"
    return TriuneError(
        "stage-failed",
        f"stage {name!r} failed ({how}): {lines[-1] if lines else 'it printed nothing'}",
        context="\n".join(lines[-TAIL_LINES:]) or command,
        hint=f"Its outputs are as they were. The whole output is in {log}.",
    )
