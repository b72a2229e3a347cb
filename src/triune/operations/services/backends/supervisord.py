"""What supervisord reads: one main file and one small file per process, written by us.

supervisord's INI dialect cuts values at `` ;`` and `` #``, expands ``%`` and splits the
include pattern at spaces. Everything here is quoted so that no path can break out of it;
paths of our own are relative to the workspace's ``.triune``, where supervisord runs.

Programs are started as ``env --chdir=... KEY=value program arguments``: `env` replaces
itself by the program, so pid and argv are the program's own.
"""

from __future__ import annotations

import glob
import re
import resource
import shlex
from pathlib import Path

from triune.core.errors import Refused
from triune.core.process import ProcessSpec

MAIN_FILE = "run/services.conf"
PROGRAMS = "run/programs"
PID_FILE = "run/supervisor.pid"
LOG_FILE = "log/supervisor.log"
SOCKET_NAME = "ctl.sock"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_MOST_FILES = 8192
_RETRIES = 1_000_000


def command(spec: ProcessSpec, marker: str) -> str:
    """The ``command=`` value that starts exactly ``spec.argv`` with ``spec.env``."""
    prefix = ["/usr/bin/env"]
    if spec.cwd is not None:
        prefix.append(f"--chdir={spec.cwd}")
    variables = {"PYTHONUNBUFFERED": "1", **spec.env, "TRIUNE_MARKER": marker}
    words = [*prefix, *(f"{key}={value}" for key, value in variables.items())]
    if "=" in spec.argv[0]:  # env would take it for one more variable
        words += ["/bin/sh", "-c", 'exec "$@"', "sh"]
    words += spec.argv
    if any(letter in word for word in words for letter in "\0\n\r"):
        raise Refused(
            "argument-not-one-line",
            "an argument or variable holds a line break",
            context=spec.name,
            hint="Put the text into a file and give its path.",
        )
    return _value(" ".join(shlex.quote(word) for word in words))


def _value(text: str) -> str:
    """Protect `` ;`` and `` #`` (inside single quotes by now) and ``%``."""
    return re.sub(r"([ \t\f\v])([;#])", r"\1''\2", text).replace("%", "%%")


def program(spec: ProcessSpec, marker: str, *, root: bool) -> str:
    """The file for one process.

    A process that dies within its first second is tried again after 1, 2, 3, ... seconds,
    without giving up; one that dies later is started again at once.
    """
    if not _NAME.fullmatch(spec.name):
        raise Refused(
            "process-name-invalid",
            f"{spec.name!r} cannot name a process",
            hint="Use letters, digits, '.', '-' and '_', 100 at most, a letter or digit first.",
        )
    lines = {
        "command": command(spec, marker),
        "autostart": "false",
        "autorestart": "true" if spec.restart else "false",
        "startsecs": "1",
        "startretries": str(_RETRIES if spec.restart else 0),
        "stopsignal": spec.stop_signal,
        "stopwaitsecs": str(max(1, round(spec.stop_seconds))),
        "killasgroup": "true",
        "redirect_stderr": "true",
        "stdout_logfile": f"log/{spec.name}.log",
        "stdout_logfile_maxbytes": "10MB",
        "stdout_logfile_backups": "3",
    }
    if root and spec.user:
        lines["user"] = spec.user
    return _section(f"program:{spec.name}", lines)


def main(socket: str, programs: Path, marker: str, *, root: bool) -> str:
    """The main file: a private socket, the log, and where the processes' files lie.

    ``socket`` is relative to ``.triune``, or else lies in the folder for temporary files.
    """
    pattern = glob.escape(str(programs)).replace("%", "%%")
    settings = {
        "logfile": LOG_FILE,
        "logfile_maxbytes": "5MB",
        "logfile_backups": "2",
        "pidfile": PID_FILE,
        "childlogdir": "log",
        "identifier": identifier(marker),
        "umask": "077",
        "minfds": str(min(_MOST_FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[1])),
        "nocleanup": "true",
    }
    if root:
        settings["user"] = "root"
    return "\n".join(
        [
            _section("unix_http_server", {"file": socket.replace("%", "%%"), "chmod": "0600"}),
            _section("supervisord", settings),
            _section(
                "rpcinterface:supervisor",
                {
                    "supervisor.rpcinterface_factory": (
                        "supervisor.rpcinterface:make_main_rpcinterface"
                    )
                },
            ),
            _section("include", {"files": re.sub(r"\s", "?", pattern) + "/*.conf"}),
        ]
    )


def identifier(marker: str) -> str:
    """The name by which a supervisor says whose it is."""
    return f"triune-{marker}"


def _section(name: str, settings: dict[str, str]) -> str:
    return "\n".join([f"[{name}]", *(f"{key} = {value}" for key, value in settings.items()), ""])
