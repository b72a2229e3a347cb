"""What a long-running process is, said once: the supervisor and the manifests read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class HttpReady:
    """Ready when a GET of ``url`` answers 200."""

    url: str


@dataclass(frozen=True, slots=True)
class TcpReady:
    """Ready when the port accepts a connection."""

    port: int
    host: str = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class CommandReady:
    """Ready when the command exits 0."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FileReady:
    """Ready when the file exists (the process writes it once it works)."""

    path: Path


Ready = HttpReady | TcpReady | CommandReady | FileReady


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """One supervised process.

    ``argv`` and ``env`` never carry secrets: a process that needs one is given the path of
    an owner-only file. ``user`` is honoured only when the supervisor runs as root.
    """

    name: str
    argv: tuple[str, ...]
    ready: Ready
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    user: str | None = None
    stop_signal: str = "TERM"
    stop_seconds: float = 10.0
    ready_seconds: float = 60.0
    restart: bool = True
    order: int = 100
