"""What rollouts know, as files: one record for each endpoint, its human gates beside it.

A record is only ever replaced by a later one of the same rollout: a watch that is late finds that
its rollout is over and stops. The gates are a file of their own, so that what a person asks never
meets what a watch has just seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from triune.core.config import slug
from triune.core.errors import Conflict, Refused, Unavailable
from triune.core.files import locked, write_atomic
from triune.delivery.rollout.model import Gates, Record, Ticket, Wish

Held = TypeVar("Held", Record, Gates)

# Made here, in one thread: the first use of a type in several at once ends the process.
_record = msgspec.json.Decoder(Record).decode
_gates = msgspec.json.Decoder(Gates).decode


class RecordStore:
    """The folder ``.triune/state/rollouts``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[Path, tuple[tuple[int, int], Ticket | None]] = {}

    def load(self, endpoint: str) -> Record | None:
        """The record of the endpoint's latest rollout; None before the first.

        Raises
        ------
        Refused: (``rollout-record-broken``).
        """
        return _read(self._path(endpoint), _record)

    def create(self, record: Record) -> Record:
        """Begin the record of a rollout, in place of the one before it; survives a power cut.

        Raises
        ------
        Unavailable: (``rollout-record-unwritable``) e.g. on a full disk; the old one stays.
        """
        with locked(self._path(record.endpoint).with_suffix(".record.lock")):
            _write(self._path(record.endpoint), record, synced=True)
        return record

    def save(self, record: Record, *, synced: bool = False) -> Record:
        """Go on with a rollout's record; it survives kill -9, with ``synced`` a power cut too.

        Raises
        ------
        Conflict: (``rollout-superseded``) the rollout has ended, or another one has begun.
        Unavailable: (``rollout-record-unwritable``) e.g. on a full disk; the old one stays.
        """
        path = self._path(record.endpoint)
        with locked(path.with_suffix(".record.lock")):
            now = self.find(record.endpoint)
            if now is not None and (now.rollout != record.rollout or now.outcome):
                raise Conflict(
                    "rollout-superseded",
                    f"the rollout of {record.release} at {record.endpoint} is over",
                    context=record.rollout,
                    hint="`triune rollout status` shows what there is now.",
                )
            _write(path, record, synced=synced)
        return record

    def find(self, endpoint: str) -> Record | None:
        """`load`, but a file that is broken is as good as none."""
        with suppress(Refused):
            return self.load(endpoint)
        return None

    def unconcluded(self) -> list[Ticket]:
        """The rollouts that have not ended. A file that has not changed is not read again;
        a broken one is left out: the endpoint's own commands say what to do about it."""
        found = []
        for path in sorted(self._folder.glob("*.json")):
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            stamp = (status.st_mtime_ns, status.st_ino)
            if self._known.get(path, (None, None))[0] != stamp:
                self._known[path] = (stamp, _open_ticket(path))
            ticket = self._known[path][1]
            if ticket is not None:
                found.append(ticket)
        return found

    def gates(self, endpoint: str, rollout: str) -> Gates:
        """What people asked of this rollout; nothing of an earlier one counts.

        What cannot be read may have been a pause: the rollout holds until somebody says more.
        """
        try:
            found = _read(self.gates_path(endpoint), _gates)
        except Refused as broken:
            return Gates(rollout, paused=Wish("service:controller", broken.message, 0.0))
        return found if found and found.rollout == rollout else Gates(rollout)

    @contextmanager
    def changing_gates(self, endpoint: str) -> Iterator[None]:
        """Be the only one that changes the gates of an endpoint.

        Raises
        ------
        Unavailable: (``rollout-record-unwritable``) its lock cannot be made, e.g. on a full disk.
        """
        path = self.gates_path(endpoint).with_suffix(".lock")
        with ExitStack() as stack:
            try:
                stack.enter_context(locked(path))
            except OSError as error:
                raise _unwritable(path, error) from error
            yield

    def save_gates(self, endpoint: str, gates: Gates) -> None:
        """Replace the gates; the caller is in `changing_gates`."""
        _write(self.gates_path(endpoint), gates, synced=True)

    @contextmanager
    def watching(self, endpoint: str) -> Iterator[None]:
        """Be the only one that looks at an endpoint's rollout; dies with its holder.

        Raises
        ------
        Conflict: (``already-running``) another watch holds it.
        """
        with locked(self._folder / f"{slug(endpoint)}.watch.lock", wait=False):
            yield

    def gates_path(self, endpoint: str) -> Path:
        """The file whose change says that a person asked for something."""
        return self._folder / f"{slug(endpoint)}.gates"

    def _path(self, endpoint: str) -> Path:
        return self._folder / f"{slug(endpoint)}.json"


def _read(path: Path, decode: Callable[[bytes], Held]) -> Held | None:
    try:
        return decode(path.read_bytes())
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as error:
        raise Refused(
            "rollout-record-broken",
            f"not what a rollout wrote: {error}",
            context=str(path),
            hint="`triune rollout abort` returns all traffic to the stable release.",
        ) from error


def _open_ticket(path: Path) -> Ticket | None:
    with suppress(Refused):
        record = _read(path, _record)
        if record is not None and not record.outcome:
            return Ticket(record.endpoint, record.rollout)
    return None


def _write(path: Path, value: Record | Gates, *, synced: bool) -> None:
    try:
        write_atomic(path, msgspec.json.encode(value), synced=synced)
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> Unavailable:
    return Unavailable(
        "rollout-record-unwritable",
        f"a rollout's file cannot be written: {error.strerror}",
        context=str(path),
        hint="Free some space; the share of the candidate stays as it is meanwhile.",
    )
