"""The parent process: checks the model, runs the workers, replaces dead ones, drains."""

from __future__ import annotations

import logging
import multiprocessing
import shutil
import signal
import socket
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

from triune.core.errors import Conflict, TriuneError, Unavailable
from triune.core.waiting import wait_until
from triune.models.serving import snapshot
from triune.models.serving.board import Board, Cell
from triune.models.serving.ports import Verifier
from triune.models.serving.spec import ServingSpec
from triune.models.serving.worker import Snapshots, application

log = logging.getLogger("triune.serving")

LAME_DUCK_SECONDS = 0.3
"""How long a stopping server still answers newcomers (asking each to go elsewhere), so that
balancers notice that it is not ready."""

QUIET_SECONDS = 0.15
"""How long nothing may have happened before the workers are stopped."""

PORT_PATIENCE_SECONDS = 5.0
"""How long to wait for a predecessor that is still letting go of the port."""


def serve(spec: ServingSpec, verify: Verifier) -> int:
    """Serve until SIGTERM or SIGINT; the exit code.

    Raises
    ------
    Refused: a model is unsigned or tampered with; nothing was loaded.
    Conflict: (``port-taken``) somebody else listens there.
    """
    folder = snapshot.make_folder(spec.scratch)
    try:
        snapshots = _snapshots(spec, folder, verify)
        _require_port(spec.host, spec.port)
        board = Board(spec.workers)
        return _run(spec, snapshots, board)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _snapshots(spec: ServingSpec, folder: Path, verify: Verifier) -> Snapshots:
    model = snapshot.take(spec.model, folder / "model", verify)
    if spec.fallback is None:
        return Snapshots(model, None)
    return Snapshots(model, snapshot.take(spec.fallback, folder / "fallback", verify))


def _run(spec: ServingSpec, snapshots: Snapshots, board: Board) -> int:
    server = _granian(spec)
    drain = partial(_drain, server, spec, board)
    server.on_startup(lambda: _on_signals(board, server, drain))
    loader = partial(application, spec, snapshots, board)
    multiprocessing.set_start_method("fork", force=True)  # the board is inherited memory
    try:
        server.serve(target_loader=loader, wrap_loader=False)
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
        return board.exit_code or code
    return board.exit_code


def _granian(spec: ServingSpec) -> Any:
    from granian.constants import HTTPModes, Interfaces, Loops
    from granian.log import LogLevels
    from granian.server import Server

    return Server(
        "triune.models.serving",
        address=spec.host,
        port=spec.port,
        interface=Interfaces.RSGI,
        workers=spec.workers,
        loop=Loops.auto,
        http=HTTPModes.http1,
        websockets=False,
        log_level=LogLevels.warning,
        respawn_failed_workers=True,
        workers_kill_timeout=max(1, round(spec.drain_seconds)),
    )


def _on_signals(board: Board, server: Any, drain: Any) -> None:
    """Put our own handler over granian's, which would stop at once."""

    def handler(*_: object) -> None:
        if board.exit_code or board.draining:
            server.signal_handler_interrupt()
            return
        board.drain()
        threading.Thread(target=drain, name="triune-drain", daemon=True).start()

    signal.signal(signal.SIGTERM, handler)
    signal.signal(signal.SIGINT, handler)


def _drain(server: Any, spec: ServingSpec, board: Board) -> None:
    """Say "not ready", close the door, let those inside finish (bounded), stop the workers."""
    log.info("draining")
    time.sleep(min(LAME_DUCK_SECONDS, spec.drain_seconds))
    board.close_door()
    try:
        wait_until(
            _Quiet(board), timeout=spec.drain_seconds, what="quiet", longest_pause=QUIET_SECONDS / 5
        )
    except Unavailable:
        log.warning("stopping with %d requests in flight", board.total(Cell.IN_FLIGHT))
    server.signal_handler_interrupt()


class _Quiet:
    """True once nothing has been in flight or answered for a while."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._answered = -1.0
        self._since = 0.0

    def __call__(self) -> bool:
        now, answered = time.monotonic(), self._board.answered()
        if answered != self._answered or self._board.total(Cell.IN_FLIGHT) > 0:
            self._answered, self._since = answered, now
        return now - self._since >= QUIET_SECONDS


def _require_port(host: str, port: int) -> None:
    """Refuse a port somebody listens on: workers share theirs, so the kernel would not."""

    def free() -> bool:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
                probe.listen(1)
            except OSError:
                return False
        return True

    try:
        wait_until(free, timeout=PORT_PATIENCE_SECONDS, what=f"port {port} free")
    except TriuneError:
        raise Conflict(
            "port-taken",
            f"another process listens on {host}:{port}",
            context=f"{host}:{port}",
            hint="Stop it, or choose another port.",
        ) from None
